"""The picture of a report: one HTML page without outside assets, for light and dark, screen and phone. Pure."""

from html import escape

from voucher_ledger.plan.campaign import MINUTE_MS
from voucher_ledger.plan.chart import Series, chart
from voucher_ledger.plan.outcome import Outcome
from voucher_ledger.plan.render import QUANTILES, checked, measures, minutes, release_head, release_lines, title
from voucher_ledger.plan.report import Report, notes

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2430; --faint: #d5dae2; --once: #c2410c; --paced: #1d63c9; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181f; --ink: #e6e9ee; --faint: #39424f; --once: #ff9a5c; --paced: #7db1ff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 52rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.3rem; line-height: 1.3; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--ink); font-size: 14px; }
@media (min-width: 40rem) { svg text { font-size: 10px; } }
.grid { fill: none; stroke: var(--faint); }
.line { fill: none; stroke-width: 2; }
.band { opacity: .22; }
.line.once { stroke: var(--once); } .line.paced { stroke: var(--paced); }
.band.once { fill: var(--once); } .band.paced { fill: var(--paced); }
.key { list-style: none; padding: 0; } .key svg { display: inline-block; width: 2.2rem; height: .8rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 1rem 0 .3rem; }
th { font-weight: 400; text-align: left; }
th, td { padding: .25rem .6rem .25rem 0; border-top: 1px solid var(--faint); }
td, thead th + th { text-align: right; white-space: nowrap; }
"""


def page(report: Report) -> str:
    """The whole page; the paced plan is the file's own where it has one."""
    campaign = report.trial.campaign
    once, paced = report.all_at_once, report.paced
    length_minutes = campaign.length_ms / MINUTE_MS
    label = f"Cards left over time, {once.name} and with the {paced.name}"
    series = [Series("once", once.levels), Series("paced", paced.levels)]
    drawing = chart(series, campaign.quota, length_minutes, escape(label))
    facts = [*title(report).splitlines(), *checked(report).splitlines(), *notes(report)]
    paragraphs = "\n".join(f"<p>{escape(fact)}</p>" for fact in facts)
    heading = escape(f"{campaign.rules.campaign_id}: cards left over time")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{heading}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{heading}</h1>
<ul class="key">
<li>{_sample("once")} {_legend(once)}</li>
<li>{_sample("paced")} {_legend(paced)}</li>
</ul>
<figure style="margin: 0">
{drawing}
<figcaption>Lines: the median of {report.trial.runs:,} runs; bands: from 10 % to 90 % of them.</figcaption>
</figure>
{_table(once)}
{_table(paced)}
{paragraphs}
<p>{escape(release_head(report))}</p>
<pre class="scroll">{escape(release_lines(report), quote=False)}</pre>
</body>
</html>
"""


def _sample(style: str) -> str:
    return (
        f'<svg viewBox="0 0 36 12" aria-hidden="true"><path class="band {style}" d="M0 0 H36 V12 H0 Z"/>'
        f'<path class="line {style}" d="M0 6 H36"/></svg>'
    )


def _legend(outcome: Outcome) -> str:
    middle = outcome.last_card_minutes.middle
    what = "last card granted" if outcome.tranches else "gone"
    gone = "cards left at the end" if middle == float("inf") else f"{what} after {minutes(middle)} minutes"
    return escape(f"{outcome.name}: {gone} (median)")


def _table(outcome: Outcome) -> str:
    head = "".join(f"<th>{name}</th>" for name in QUANTILES)
    rows = "\n".join(
        f"<tr><th>{escape(what)}</th>{''.join(f'<td>{escape(text)}</td>' for text in texts)}</tr>"
        for what, texts in measures(outcome)
    )
    return (
        f'<div class="scroll"><table>\n<caption>{escape(outcome.name)}, in quantiles of the runs</caption>\n'
        f"<thead><tr><th></th>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )
