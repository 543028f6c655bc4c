"""How a report looks: one style sheet, light and dark, from a telephone to a wide screen."""

STYLE = """
:root { color-scheme: light dark;
  --bg: #f4f5f8; --card: #fff; --ink: #171b24; --muted: #5c6675; --rule: #e2e5eb; --soft: #eef0f4;
  --c0: #2563eb; --c1: #d97706; --c2: #0d9488; --c3: #be185d; --c4: #7c3aed; --c5: #4d7c0f;
  --good: #15803d; --bad: #b91c1c; --good-soft: #e3f4e8; --bad-soft: #fbe6e6; }
@media (prefers-color-scheme: dark) { :root {
  --bg: #0d1016; --card: #151a22; --ink: #e6eaf1; --muted: #97a2b3; --rule: #28303c; --soft: #1d242f;
  --c0: #6ea8fe; --c1: #f0b155; --c2: #4ecdbd; --c3: #f178b0; --c4: #b59bff; --c5: #a5d152;
  --good: #5fd38a; --bad: #ff8585; --good-soft: #14301f; --bad-soft: #3a1a1d; } }
* { box-sizing: border-box; }
code { overflow-wrap: anywhere; } body { margin: 0; background: var(--bg); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%; }
main { max-width: 1180px; margin: 0 auto; padding: 36px 28px 56px; }
h1 { font-size: 28px; line-height: 1.2; letter-spacing: -.02em; margin: 0; font-weight: 680; }
h2 { font-size: 18px; letter-spacing: -.01em; margin: 40px 0 4px; font-weight: 650; }
h3 { font-size: 15px; margin: 0 0 2px; font-weight: 620; }
p { margin: 0; } p.note { color: var(--muted); margin-bottom: 14px; max-width: 100ch; }
header { display: flex; flex-wrap: wrap; gap: 10px 24px; align-items: center;
  justify-content: space-between; }
header p { color: var(--muted); margin-top: 4px; }
.badge { display: inline-flex; align-items: center; gap: 8px; border-radius: 999px; padding: 6px 14px;
  font-weight: 600; font-size: 14px; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); }
.few { color: var(--muted); } .badge.few { background: var(--soft); }
.badge.good { background: var(--good-soft); } .badge.bad { background: var(--bad-soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin-top: 24px; }
.card, .tile { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; }
.tile { padding: 14px 16px; } .tile b { display: block; font-size: 23px; line-height: 1.25;
  font-weight: 650;
  letter-spacing: -.02em; } .tile span { color: var(--muted); font-size: 13px; }
.card { padding: 18px 20px; min-width: 0; } .card + .card { margin-top: 14px; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 14px; } .pair > .card { margin: 0; }
.pair > .card:only-child { grid-column: 1 / -1; }
.scroll { overflow-x: auto; } .sub { color: var(--muted); font-size: 13px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: right; color: var(--muted); font-weight: 550; font-size: 12.5px; white-space: nowrap; }
td, th { padding: 7px 0 7px 16px; border-bottom: 1px solid var(--rule); text-align: right;
  white-space: nowrap; }
td:first-child, th:first-child { text-align: left; padding-left: 0; }
tr:last-child td { border-bottom: 0; }
td.text, th.text { text-align: left; white-space: normal; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 6px 0 10px; font-size: 13px;
  color: var(--muted); }
.legend span::before, .key::before { content: ""; display: inline-block; width: 14px; height: 3px;
  border-radius: 2px;
  margin-right: 7px; vertical-align: middle; background: currentColor; }
.legend span i, .key i { color: var(--muted); font-style: normal; } .key i { color: var(--ink); }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); } .c3 { color: var(--c3); }
.c4 { color: var(--c4); } .c5 { color: var(--c5); } .pause { color: var(--c4); }
.chart svg { display: block; width: 100%; height: auto; } .chart .narrow { display: none; }
svg text { font-size: 12px; fill: var(--muted); font-family: inherit; }
svg .grid { stroke: var(--rule); stroke-width: 1; } svg .faint { stroke-dasharray: 2 4; }
svg .curve { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round;
  stroke-linecap: round; }
svg .thin { stroke-width: 1.25; opacity: .75; } svg .area { fill: var(--c0); opacity: .12; stroke: none; }
svg .dot { fill: currentColor; opacity: 0; } svg .dot:hover { opacity: 1; }
svg .limit { stroke: var(--bad); stroke-width: 1.25; stroke-dasharray: 6 4; opacity: .8; }
svg .limit-text { fill: var(--bad); } svg .pause { stroke: currentColor; stroke-width: 3; }
.bar { display: flex; height: 12px; border-radius: 6px; overflow: hidden; background: var(--soft); }
.bar i { display: block; background: currentColor; min-width: 2px; box-shadow: inset -1px 0 var(--card); }
.meter { position: relative; height: 8px; min-width: 90px; border-radius: 4px; background: var(--soft);
  overflow: hidden; }
.meter i { position: absolute; inset: 0 auto 0 0; background: currentColor; border-radius: 4px; }
.slow { padding: 11px 0; border-bottom: 1px solid var(--rule); font-size: 14px; }
.slow:last-child { border-bottom: 0; padding-bottom: 0; }
.slow > :first-child { display: flex; justify-content: space-between; gap: 16px; margin-bottom: 5px; }
.slow b { white-space: nowrap; } .slow .sub { margin-top: 5px; } .rest { color: var(--muted); opacity: .55; }
.pair td + td, .pair th + th { padding-left: 10px; }
.small { max-width: 400px; } h2 + div { margin-top: 12px; } .pair table { font-size: 13.5px; }
.counts { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 14px; }
.counts .card { margin: 0; } .counts h3 { margin-bottom: 6px; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); margin: 0; font-size: 14px; }
dt, dd { padding: 6px 0; border-bottom: 1px solid var(--rule); margin: 0; }
dt { color: var(--muted); padding-right: 28px; }
dd { overflow-wrap: anywhere; } dl > :nth-last-child(-n+2) { border-bottom: 0; }
ul { margin: 0; padding-left: 20px; } li { margin: 5px 0; } code {
  font: 13px ui-monospace, Menlo, monospace; }
footer { margin-top: 40px; color: var(--muted); font-size: 13px; }
@media (max-width: 860px) { .pair { grid-template-columns: 1fr; } }
@media (max-width: 620px) {
  main { padding: 22px 14px 40px; } h1 { font-size: 23px; } .card { padding: 14px; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 10px; } .tile { padding: 11px 13px; } .tile b {
  font-size: 19px; }
  .chart .wide { display: none; } .chart .narrow { display: block; }
  dl { grid-template-columns: 1fr; } dt { border: 0; padding: 8px 0 0; } dd { padding: 0 0 8px; }
  dl > :nth-last-child(2) { border: 0; }
  td + td, th + th { padding-left: 12px; } .pair table { font-size: 12.5px; }
  .pair td + td, .pair th + th { padding-left: 8px; }
  .pair td:is(:nth-child(3), :nth-child(7)), .pair th:is(:nth-child(3), :nth-child(7)) { display: none; } }
@media print { body { background: #fff; } .card, .tile { break-inside: avoid; } }
"""
