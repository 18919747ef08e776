"""The report's style: named tokens, light and dark."""

from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--ink:#1c2430;--quiet:#5d6b7c;--paper:#fff;--panel:#f5f7fa;
--rule:#dfe5ec;--first:#0f62c9;--second:#8a94a3;--third:#b5581a;--good:#1c8a4e;--bad:#c2352b}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf2;--quiet:#9aa7b6;--paper:#12171e;
--panel:#1b222c;--rule:#2d3745;--first:#6aaeff;--second:#8a94a3;--third:#f0a060;--good:#5ccb8d;
--bad:#ff7b70}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:920px;margin:0 auto;padding:40px 24px 80px}
h1{font-size:30px;line-height:1.2;margin:0 0 12px}h2{font-size:20px;margin:44px 0 12px}
.lead{font-size:18px;max-width:46em}.quiet{color:var(--quiet);font-size:14px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:12px;
margin:24px 0}.tiles div{background:var(--panel);border-radius:10px;padding:14px 16px}
.tiles b{display:block;font-size:22px;font-variant-numeric:tabular-nums}
.tiles span{color:var(--quiet);font-size:13px}
figure{margin:20px 0 8px}figcaption{font-weight:600;display:flex;justify-content:space-between;
flex-wrap:wrap;gap:8px}figcaption small{font-weight:400;color:var(--quiet)}
svg{width:100%;height:auto;display:block}.grid{stroke:var(--rule)}
.tick{fill:var(--quiet);font-size:12px;font-variant-numeric:tabular-nums}
.line{fill:none;stroke-width:2.4;stroke-linejoin:round}.dot{stroke:var(--paper);stroke-width:1}
.line.first{stroke:var(--first)}.line.second{stroke:var(--second);stroke-dasharray:6 4}
.line.third{stroke:var(--third)}.dot.first,.bar.first,.band.first{fill:var(--first)}
.dot.second,.bar.second{fill:var(--second)}.dot.third,.bar.third{fill:var(--third)}
.band{opacity:.14}.mark line{stroke-width:1.2;stroke-dasharray:2 3}
.mark.good line{stroke:var(--good)}.mark.bad line{stroke:var(--bad)}
.mark.good circle{fill:var(--good)}.mark.bad circle{fill:var(--bad)}
.key{display:inline-block;width:12px;height:12px;border-radius:3px;margin:0 5px -1px 10px}
.key.first{background:var(--first)}.key.second{background:var(--second)}
.key.third{background:var(--third)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:14px;margin:12px 0}
th{text-align:left;color:var(--quiet);font-weight:600;vertical-align:bottom}
th,td{padding:7px 10px;border-bottom:1px solid var(--rule);vertical-align:top}
.short{white-space:nowrap}.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
"""
