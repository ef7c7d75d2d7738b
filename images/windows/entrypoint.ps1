# SPDX-License-Identifier: Apache-2.0
<#
.SYNOPSIS
The first process of the terminal's container on Windows: self-test, restore the terminal, run the agent.
#>
[CmdletBinding()]
param([string]$Root = 'C:\mt5')

Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'

if (-not $env:MT5_AGENT_DATA_DIR) { $env:MT5_AGENT_DATA_DIR = '/var/lib/mt5/terminal' }
if (-not $env:MT5_AGENT_BACKEND) { $env:MT5_AGENT_BACKEND = 'metatrader5' }
if (-not $env:MT5_AGENT_PLATFORM) { $env:MT5_AGENT_PLATFORM = 'Windows' }
$data = [IO.Path]::GetFullPath($env:MT5_AGENT_DATA_DIR)
New-Item -ItemType Directory -Force -Path $data | Out-Null

# One line of JSON for the log, and a file for the agent.
$report = & "$Root\bin\selftest.ps1" -Root $Root
Write-Output $report
$env:MT5_AGENT_SELFTEST_FILE = Join-Path $env:TEMP 'mt5-selftest.json'
[IO.File]::WriteAllText($env:MT5_AGENT_SELFTEST_FILE, $report)

# The same rules as on Linux: program files as in the image, the terminal's own data kept.
$restore = 'import pathlib, sys; sys.path.insert(0, sys.argv[1]); import start; ' +
    'start.restore(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))'
& "$Root\python\python.exe" -c $restore "$Root\bin" "$Root\terminal" $data
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }

$env:MT5_AGENT_TERMINAL_PATH = Join-Path $data 'terminal64.exe'
& "$Root\python\python.exe" -m mt5_agent
exit $LASTEXITCODE
