"""The parts that the dashboards are put together from: queries, panels, and what every dashboard has."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.runtime import UnknownDataquery
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.dashboard import DataSourceRef, DynamicConfigValue, MatcherConfig
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.runbooks import link_of

# The names that provisioning/datasources gives them.
PROMETHEUS = DataSourceRef("prometheus", "voucher-ledger-prometheus")
POSTGRES = DataSourceRef("postgres", "voucher-ledger-postgres")
TAG = "voucher-ledger"

# Each funding of a campaign: its opening, and its top-ups with who approved them. ledger.transfer may hold tens of
# millions of rows and is asked at every refresh, so it is looked up by its key, command by command of the one topic
# that funds (a few hundred), and never read as a whole.
FUNDINGS = """
SELECT t.at, t.campaign_id, t.vouchers, t.amount_minor, t.approved_by, t.reason
FROM ledger.position p CROSS JOIN generate_series(0, p.next_offset - 1) AS place (cause_offset)
JOIN ledger.transfer t ON t.cause_offset = place.cause_offset AND t.cause_partition = p.partition
                      AND t.cause_topic = p.topic
WHERE p.topic = 'campaign.commands' AND t.debit_role = 'funding'"""

_FUNDED = f"""
SELECT extract(epoch FROM at) AS time,
    concat(campaign_id, ': ', vouchers, ' vouchers, ', amount_minor, ' minor units, ',
    CASE WHEN approved_by IS NULL THEN 'opened' ELSE concat('approved by ', approved_by, ': ', reason) END) AS text
FROM ({FUNDINGS}) AS funding WHERE $__timeFilter(at) ORDER BY at"""

Steps = Sequence[tuple[float | None, str]]
GREEN: Steps = ((None, "green"),)


def alarming(warning: float, critical: float) -> Steps:
    """Thresholds of what is worse the higher it is."""
    return ((None, "green"), (warning, "orange"), (critical, "red"))


def running_out(critical: float, warning: float) -> Steps:
    """Thresholds of what is worse the lower it is."""
    return ((None, "red"), (critical, "orange"), (warning, "green"))


class SqlQuery(Builder[Dataquery]):
    """A query of Postgres, which the SDK has no type of its own for."""

    def __init__(self, sql: str) -> None:
        self._sql = sql.strip()

    def build(self) -> Dataquery:
        """The target as Grafana's Postgres data source reads it."""
        return UnknownDataquery(
            {
                "datasource": POSTGRES, "editorMode": "code", "format": "table", "rawQuery": True, "rawSql": self._sql,
                "refId": "A",
            }
        )  # fmt: skip


class _Annotation(dashboard.AnnotationQuery):
    """An annotation from Postgres: the SDK's has no field for a query in SQL."""

    def to_json(self) -> dict[str, object]:
        target = {"editorMode": "code", "format": "table", "rawQuery": True, "rawSql": _FUNDED.strip(), "refId": "Anno"}
        return {**super().to_json(), "target": target}


def promql(expression: str, legend: str = "") -> prometheus.Dataquery:
    """A curve for each series."""
    return prometheus.Dataquery().expr(expression).legend_format(legend).range().datasource(PROMETHEUS)


def promql_now(expression: str, legend: str = "") -> prometheus.Dataquery:
    """A value for each series, as of the end of the time range."""
    return prometheus.Dataquery().expr(expression).legend_format(legend).instant().datasource(PROMETHEUS)


def curves(
    title: str, unit: str, width: int, *queries: prometheus.Dataquery, about: str = "", steps: Steps = (),
    stacked: bool = False, height: int = 6,
) -> timeseries.Panel:  # fmt: skip
    """Curves over time; `steps` are drawn as lines where there are any."""
    panel = timeseries.Panel().title(title).description(about).unit(unit).datasource(PROMETHEUS)
    panel.height(height).span(width).min(0).fill_opacity(30 if stacked else 8).line_width(1)
    legend = common_builders.VizLegendOptions().display_mode(common.LegendDisplayMode.LIST)
    panel.legend(legend.placement(common.LegendPlacement.BOTTOM).show_legend(True))
    panel.tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    if stacked:
        panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    if steps:
        panel.thresholds(_thresholds(steps))
        panel.thresholds_style(common_builders.GraphThresholdsStyleConfig().mode(common.GraphTresholdsStyleMode.DASHED))
    for number, query in enumerate(queries):
        panel.with_target(query.ref_id(chr(ord("A") + number)))
    return panel


def figure(
    title: str, unit: str, width: int, query: prometheus.Dataquery, *, about: str = "", steps: Steps = GREEN,
    runbook: str = "", none: str = "-", height: int = 4,
) -> stat.Panel:  # fmt: skip
    """One large number (or one a series), coloured by `steps`; `runbook` is the section that says what to do."""
    panel = stat.Panel().title(title).description(about).unit(unit).datasource(PROMETHEUS).no_value(none)
    panel.height(height).span(width).thresholds(_thresholds(steps)).with_target(query.ref_id("A"))
    panel.color_mode(common.BigValueColorMode.VALUE).graph_mode(common.BigValueGraphMode.NONE)
    panel.reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
    if runbook:
        panel.links([builders.DashboardLink("What to do").url(link_of(runbook))])
    return panel


def rows(
    title: str, width: int, query: SqlQuery | prometheus.Dataquery, *, about: str = "", height: int = 6,
    units: Mapping[str, str] | None = None, runbook_column: str = "",
) -> table.Panel:  # fmt: skip
    """A table; `units` by column. `runbook_column` holds names of alerts, which lead to their runbooks."""
    panel = table.Panel().title(title).description(about).height(height).span(width).with_target(query)
    panel.show_header(True)
    if isinstance(query, SqlQuery):
        panel.datasource(POSTGRES)
    else:
        panel.datasource(PROMETHEUS)
        query.ref_id("A").format(PromQueryFormat.TABLE)
        # An alert's value is 1.
        names = ("Time", "__name__", "instance", "job", *(("Value", "alertstate") if runbook_column else ()))
        hidden = dict.fromkeys(names, True)
        panel.with_transformation(dashboard.DataTransformerConfig("organize", options={"excludeByName": hidden}))
    for column, unit in (units or {}).items():
        panel.with_override(MatcherConfig("byName", column), [DynamicConfigValue("unit", unit)])
    if runbook_column:
        links = [{"title": "What to do", "url": link_of()}]
        panel.with_override(MatcherConfig("byName", runbook_column), [DynamicConfigValue("links", links)])
    return panel


def _thresholds(steps: Steps) -> builders.ThresholdsConfig:
    made = [dashboard.Threshold(value, color) for value, color in steps]
    return builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(made)


def campaign_variable(*, several: bool) -> builders.QueryVariable:
    """`$campaign`: one of those that the metrics name, or several."""
    variable = builders.QueryVariable("campaign").label("Campaign").datasource(PROMETHEUS)
    variable.query("label_values(voucher_ledger_campaign_open, campaign)")
    variable.refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    if several:
        variable.multi(True).include_all(True).all_value(".*")
    return variable


def room_variable() -> builders.QueryVariable:
    """`$room`: which processes."""
    variable = builders.QueryVariable("room").label("Room").datasource(PROMETHEUS)
    variable.query("label_values(voucher_ledger_ready, room)").refresh(dashboard.VariableRefresh.ON_DASHBOARD_LOAD)
    return variable.multi(True).include_all(True).all_value(".*")


def board(
    name: str, title: str, about: str, panels: Sequence[Builder[dashboard.Panel]],
    variables: Sequence[builders.QueryVariable] = (), *, span: str = "now-1h",
) -> dict[str, Any]:  # fmt: skip
    """A whole dashboard as JSON, its panels numbered in their order; `name` is its file's and ends its address."""
    made = builders.Dashboard(title).uid(f"voucher-ledger-{name}").description(about).tags([TAG]).readonly()
    made.timezone("utc").refresh("10s").time(span, "now").tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
    made.variables(list(variables))
    others = builders.DashboardLink("Dashboards").type(dashboard.DashboardLinkType.DASHBOARDS).tags([TAG])
    made.link(others.as_dropdown(True).include_vars(True).keep_time(True))
    made.link(builders.DashboardLink("Runbooks").type(dashboard.DashboardLinkType.LINK).url(link_of()))
    for panel in panels:
        made.with_panel(panel)
    built = made.build()
    built.annotations = dashboard.AnnotationContainer([_Annotation("Top-ups", POSTGRES, True, False, "purple")])
    for number, numbered in enumerate(built.panels or (), start=1):
        numbered.id_val = number
    as_json: dict[str, Any] = json.loads(json.dumps(built, cls=JSONEncoder))
    return as_json
