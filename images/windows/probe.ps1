# SPDX-License-Identifier: Apache-2.0
<#
.SYNOPSIS
Does a terminal live in this container? Self-test, start, look for a while, close; one JSON document.
.DESCRIPTION
Needs no account and places no order. In the image:
  docker run --rm --entrypoint powershell IMAGE -ExecutionPolicy Bypass -File C:\mt5\bin\probe.ps1
docs/windows.md says how to read the answer and where to send it.
#>
[CmdletBinding()]
param(
    [string]$Root = 'C:\mt5',
    [int]$WatchSeconds = 180
)

Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'

$selftest = & "$Root\bin\selftest.ps1" -Root $Root | ConvertFrom-Json
$result = [ordered]@{ time = [DateTime]::UtcNow.ToString('o'); selftest = $selftest; terminal = $null }

$work = Join-Path $env:TEMP 'mt5-probe'
$program = Join-Path $work 'terminal64.exe'
if (Test-Path "$Root\terminal\terminal64.exe") {
    Copy-Item -Recurse -Force "$Root\terminal" $work
    $began = [DateTime]::UtcNow
    $process = Start-Process -FilePath $program -ArgumentList '/portable' -PassThru
    $null = $process.Handle # or there is no ExitCode later
    $end = $began.AddSeconds($WatchSeconds)
    $pipe = $false
    $pipeSeconds = $null
    while (-not $process.HasExited -and [DateTime]::UtcNow -lt $end) {
        # Where the package would connect to. A pipe of somebody else with an odd name makes this fail.
        try { $pipes = [IO.Directory]::GetFiles('\\.\pipe\') } catch { $pipes = @() }
        if (-not $pipe -and @($pipes -like '*MT5.Terminal.*').Count -gt 0) {
            $pipe = $true
            $pipeSeconds = [Math]::Round(([DateTime]::UtcNow - $began).TotalSeconds)
        }
        Start-Sleep -Seconds 2
        $process.Refresh()
    }
    $lived = -not $process.HasExited
    $window = if ($lived) { $process.MainWindowHandle -ne [IntPtr]::Zero } else { $false }
    $memory = if ($lived) { $process.WorkingSet64 } else { 0 }
    # initialize() without an account: -10005 or -6 means that the terminal answers.
    $ask = 'import json, sys, MetaTrader5 as m; ' +
        'ok = m.initialize(path=sys.argv[1], portable=True, timeout=20000); ' +
        'print(json.dumps([ok, m.last_error(), m.version()]))'
    $answer = if ($pipe) { (& "$Root\python\python.exe" -c $ask $program) -join '' } else { 'not asked: no pipe' }
    if ($lived) {
        & taskkill.exe /PID $process.Id | Out-Null
        if (-not $process.WaitForExit(60000)) { $process.Kill() }
    }
    $journals = @(Get-ChildItem "$work\logs\*.log" -ErrorAction SilentlyContinue | Sort-Object LastWriteTime)
    # A line of Get-Content brings its file and drive along, and ConvertTo-Json writes them all: only its text.
    $lines = @($journals | ForEach-Object { Get-Content -Encoding Unicode $_.FullName } | ForEach-Object { "$_" })
    $result.terminal = [ordered]@{
        lived = $lived; window = $window; pipe = $pipe; pipe_seconds = $pipeSeconds; memory_bytes = $memory
        exit_code = $(if ($process.HasExited) { $process.ExitCode } else { $null })
        initialize = $answer; journal = @($lines | Select-Object -Last 60)
    }
    Remove-Item -Recurse -Force $work -ErrorAction SilentlyContinue
}
$result | ConvertTo-Json -Depth 6
