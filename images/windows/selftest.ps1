# SPDX-License-Identifier: Apache-2.0
<#
.SYNOPSIS
Look for the known traps of a terminal in a Windows container; print one line of JSON.
.DESCRIPTION
{"ok": true, "findings": [{"name": "fonts", "ok": true, "detail": "..."}]}. Windows PowerShell 5.1 is enough.
A finding that is not ok does not stop anything: it explains what happens later.
#>
[CmdletBinding()]
param([string]$Root = 'C:\mt5')

Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'

Add-Type -TypeDefinition @'
using System;
using System.Runtime.InteropServices;
using System.Text;
public static class Desktop {
    [DllImport("user32.dll", SetLastError = true)] static extern IntPtr GetProcessWindowStation();
    [DllImport("user32.dll", SetLastError = true, CharSet = CharSet.Unicode)]
    static extern bool GetUserObjectInformation(IntPtr handle, int index, StringBuilder text, int size, out int needed);
    [DllImport("user32.dll", SetLastError = true, CharSet = CharSet.Unicode)]
    static extern IntPtr CreateWindowEx(int ex, string kind, string title, int style, int x, int y, int w, int h,
        IntPtr parent, IntPtr menu, IntPtr instance, IntPtr parameter);
    [DllImport("user32.dll")] static extern bool DestroyWindow(IntPtr window);
    [DllImport("kernel32.dll", SetLastError = true, CharSet = CharSet.Unicode)]
    public static extern IntPtr LoadLibrary(string name);
    public static string Station() {
        var text = new StringBuilder(256);
        int needed;
        return GetUserObjectInformation(GetProcessWindowStation(), 2, text, 512, out needed) ? text.ToString() : "";
    }
    // The terminal's charts are MDI children: where these cannot be made, a log-in never ends.
    public static int MdiError() {
        IntPtr frame = CreateWindowEx(0, "STATIC", "selftest", 0x00CF0000, 0, 0, 400, 300,
            IntPtr.Zero, IntPtr.Zero, IntPtr.Zero, IntPtr.Zero);
        if (frame == IntPtr.Zero) return Marshal.GetLastWin32Error();
        IntPtr create = Marshal.AllocHGlobal(IntPtr.Size * 2);
        Marshal.WriteIntPtr(create, IntPtr.Zero);
        Marshal.WriteIntPtr(create, IntPtr.Size, (IntPtr)1);
        IntPtr client = CreateWindowEx(0, "MDICLIENT", "", 0x50000000, 0, 0, 400, 300,
            frame, IntPtr.Zero, IntPtr.Zero, create);
        int error = client == IntPtr.Zero ? Marshal.GetLastWin32Error() : 0;
        DestroyWindow(frame);
        Marshal.FreeHGlobal(create);
        return error;
    }
}
'@

function Test-Finding([string]$Name, [scriptblock]$Look) {
    # Each look returns @(ok, detail); one that throws is a finding, too.
    try { $seen = & $Look } catch { $seen = @($false, $_.Exception.Message) }
    [ordered]@{ name = $Name; ok = [bool]$seen[0]; detail = [string]$seen[1] }
}

$findings = @(
    Test-Finding 'window-station' {
        $station = [Desktop]::Station()
        @(($station -ne ''), "window station '$station', session $((Get-Process -Id $PID).SessionId), user $env:USERNAME")
    }
    Test-Finding 'windows' {
        $code = [Desktop]::MdiError()
        @(($code -eq 0), $(if ($code) { "an MDI window cannot be made, error $code" } else { 'an MDI window can be made' }))
    }
    Test-Finding 'fonts' {
        $fonts = @(Get-ChildItem "$env:windir\Fonts\*" -Include '*.ttf', '*.ttc', '*.fon')
        $wanted = @('arial.ttf', 'tahoma.ttf', 'segoeui.ttf')
        $missing = @($wanted | Where-Object { -not (Test-Path "$env:windir\Fonts\$_") })
        @(($missing.Count -eq 0), "$($fonts.Count) fonts; missing: $($missing -join ', ')")
    }
    Test-Finding 'libraries' {
        $wanted = 'gdiplus.dll', 'uxtheme.dll', 'winspool.drv', 'winmm.dll', 'wininet.dll', 'oleacc.dll', 'comdlg32.dll'
        $missing = @($wanted | Where-Object { [Desktop]::LoadLibrary($_) -eq [IntPtr]::Zero })
        @(($missing.Count -eq 0), "missing: $($missing -join ', ')")
    }
    Test-Finding 'build-match' {
        # The registry is the image's, the version of the running kernel is the node's.
        $image = (Get-ItemProperty 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion').CurrentBuildNumber
        $node = [Environment]::OSVersion.Version.Build
        @(($image -eq "$node"), "image build $image, node build $node")
    }
    Test-Finding 'package' {
        # With 'Stop', Windows PowerShell takes any word on stderr, a warning even, for an error.
        $ErrorActionPreference = 'Continue'
        $said = & "$Root\python\python.exe" -c "import MetaTrader5 as m; print(m.__version__, m.last_error())" 2>&1
        @(($LASTEXITCODE -eq 0), "$said")
    }
    Test-Finding 'terminal' {
        $there = Test-Path "$Root\terminal\terminal64.exe"
        @($there, $(if ($there) { 'in the image' } else { 'none in the image: docs/windows.md' }))
    }
)

$failed = @($findings | Where-Object { -not $_.ok })
[ordered]@{ ok = ($failed.Count -eq 0); findings = $findings } | ConvertTo-Json -Depth 4 -Compress
