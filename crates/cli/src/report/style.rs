//! The look of a page.

/// The style sheet: light and dark, wide and narrow, screen and paper.
pub(super) const STYLE: &str = "
:root{color-scheme:light dark;--page:#fbfbfa;--card:#fff;--ink:#1d2125;--soft:#5d666f;--line:#e3e5e8;--track:#eceef1;
--c0:#2f6fb5;--c1:#d9711c;--c2:#2e9c6d;--c3:#a8509f}
@media (prefers-color-scheme:dark){:root{--page:#15181b;--card:#1d2125;--ink:#e7eaed;--soft:#9aa4ae;--line:#31373d;--track:#2a3036;
--c0:#6ba4e0;--c1:#ef9a52;--c2:#5cc79a;--c3:#cf86c8}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',sans-serif}
main{max-width:1120px;margin:0 auto;padding:36px 24px 48px}
h1{font-size:27px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em;overflow-wrap:anywhere}
header p{margin:0;color:var(--soft)}
section{margin-top:40px}
h2{font-size:18px;margin:0 0 4px}
.lead{margin:0 0 12px;color:var(--soft);max-width:78ch}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:12px;margin-top:24px}
.tile,.charts figure,.pictures figure{background:var(--card);border:1px solid var(--line);border-radius:10px}
.tile{padding:12px 14px}
.tile .name{color:var(--soft);font-size:13px}
.tile .value{font-size:25px;line-height:1.25;font-weight:600;font-variant-numeric:tabular-nums}
.error,.tile .note{color:var(--soft);font-size:12.5px;font-variant-numeric:tabular-nums}
.tile .bar{margin:5px 0 3px}
.bar{display:block;width:100%;height:5px;border-radius:3px}
td .bar{width:110px;margin:3px 0 0 auto}
.bar .track{fill:var(--track)}
.whisker{fill:var(--ink);opacity:.75}
.s0.fill{fill:var(--c0)}.s1.fill{fill:var(--c1)}.s2.fill{fill:var(--c2)}.s3.fill{fill:var(--c3)}
.chart .fill{opacity:.72}
.outline{fill:none;stroke-width:1.8;stroke-linejoin:round}
.s0.outline{stroke:var(--c0)}.s1.outline{stroke:var(--c1)}.s2.outline{stroke:var(--c2)}.s3.outline{stroke:var(--c3)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:7px 12px 7px 0;border-bottom:1px solid var(--line);vertical-align:top}
thead th{color:var(--soft);font-weight:500;font-size:13px}
tbody th{font-weight:500;white-space:nowrap}
.figure{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
td.none,.protocol{color:var(--soft)}
.protocol{font-size:13px;padding-left:14px;max-width:52ch}
.legend{display:flex;gap:18px;color:var(--soft);font-size:13px;margin:8px 0}
.legend i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px;vertical-align:-1px}
i.s0{background:var(--c0)}i.s1{background:var(--c1)}i.s2{background:var(--c2)}i.s3{background:var(--c3)}
.charts+.scroll{margin-top:18px}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:12px}
.charts figure{margin:0;padding:10px 12px 6px}
.charts figcaption{font-weight:500;font-size:13.5px;margin-bottom:4px}
.chart{display:block;width:100%;height:auto}
.frame{fill:none;stroke:var(--line)}.shade{fill:var(--c0)}
.motion{margin:12px 0 0;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 12px}
.motion figcaption{font-weight:500;font-size:13.5px}
.stage{position:relative;width:100%;height:380px;cursor:grab;color:var(--soft)}
.controls{display:flex;flex-wrap:wrap;gap:6px 14px;align-items:center;color:var(--soft);font-size:13px}
.controls input[type=range]{flex:1;min-width:140px}
.controls label{display:flex;gap:4px}
.grid{stroke:var(--line)}.axis{stroke:var(--soft)}
.tick{fill:var(--soft);font-size:10.5px}
.hover{fill:transparent}.hover:hover{fill:var(--ink);fill-opacity:.07}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(196px,1fr));gap:12px;margin-top:12px}
.pictures figure{margin:0;padding:6px 6px 8px;text-align:center}
.pictures svg{max-width:100%;height:auto}
.pictures figcaption{color:var(--soft);font-size:12px;font-variant-numeric:tabular-nums}
footer{margin-top:44px;border-top:1px solid var(--line);padding-top:14px;color:var(--soft);font-size:12.5px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:0}
dd{margin:0;overflow-wrap:anywhere}
@media (max-width:640px){main{padding:20px 14px}.protocol{min-width:30ch}}
@media print{body{background:#fff}.tile,.charts figure,.pictures figure,tr{break-inside:avoid}}
";
