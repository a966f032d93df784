"""A sheet of so many pixels to draw on, whose points are counted from its top left corner."""

from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import IdentityTransform

from voucher_ledger.report.picture.fonts import families
from voucher_ledger.report.picture.words import ELLIPSIS, one_line

WIDTH_PIXELS, HEIGHT_PIXELS = 1600, 1200
_DOTS_PER_INCH = 100
_POINTS_PER_INCH = 72

PAPER, CARD, INK, SOFT, LINE = "#f4f6f9", "#ffffff", "#182130", "#5b6677", "#dce1e8"
# The live page's colours, so that a curve is known again; but the plan is darker, to be seen upon what was granted.
GRANTED, REFUSED, ORDERS, PLAN, CRITICAL = "#1d63c9", "#c2410c", "#0b7f6f", "#182130", "#c01f2f"


class Sheet:
    """One figure of its own: neither pyplot nor its list of figures is used."""

    def __init__(self) -> None:
        inches = (WIDTH_PIXELS / _DOTS_PER_INCH, HEIGHT_PIXELS / _DOTS_PER_INCH)
        self._figure = Figure(figsize=inches, dpi=_DOTS_PER_INCH, facecolor=PAPER)
        self._canvas = FigureCanvasAgg(self._figure)
        self._families = families(fontManager.get_font_names())

    def png(self) -> bytes:
        """What was drawn; the same drawing gives the same bytes, since nothing tells of time or version."""
        into = BytesIO()
        self._canvas.print_png(into, metadata={"Software": None})
        return into.getvalue()

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        pixels: float = 18,
        colour: str = INK,
        bold: bool = False,
        right: bool = False,
        width_pixels: float | None = None,
    ) -> float:
        """One line of text from `x` on (up to `x` where `right`), whose base line is at `y`, cut to `width_pixels`.

        Returns:
            How many pixels wide it became.
        """  # fmt: skip
        font = FontProperties(
            family=self._families, size=pixels * _POINTS_PER_INCH / _DOTS_PER_INCH, weight="bold" if bold else "normal"
        )
        shown, width = self._cut(one_line(text), width_pixels, font)
        drawn = Text(
            x, HEIGHT_PIXELS - y, shown, color=colour, fontproperties=font, parse_math=False, usetex=False,
            horizontalalignment="right" if right else "left", verticalalignment="baseline",
        )  # fmt: skip
        drawn.set_transform(IdentityTransform())
        self._figure.add_artist(drawn)
        return width

    def box(
        self, x: float, y: float, width: float, height: float, *, colour: str = CARD, edge: str | None = None
    ) -> None:
        """A filled rectangle whose top left corner is at `x`, `y`."""
        made = Rectangle(
            (x, HEIGHT_PIXELS - y - height), width, height, facecolor=colour, edgecolor=edge or "none",
            linewidth=0.0 if edge is None else 1.0, transform=IdentityTransform(),
        )  # fmt: skip
        self._figure.add_artist(made)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Axes whose frame has its top left corner at `x`, `y`; ticks are written outside of it."""
        made = self._figure.add_axes(
            (
                x / WIDTH_PIXELS,
                1 - (y + height) / HEIGHT_PIXELS,
                width / WIDTH_PIXELS,
                height / HEIGHT_PIXELS,
            )
        )
        made.set_zorder(2)
        made.set_facecolor(CARD)
        for side in ("top", "right", "left"):
            made.spines[side].set_visible(False)
        made.spines["bottom"].set_color(LINE)
        made.tick_params(colors=SOFT, color=LINE, labelsize=12, length=4, labelfontfamily=self._families)
        made.tick_params(axis="y", length=0)
        made.grid(visible=True, axis="y", color=LINE, linewidth=1.0)
        made.set_axisbelow(True)
        return made

    def _cut(self, text: str, width_pixels: float | None, font: FontProperties) -> tuple[str, float]:
        width = self._width(text, font)
        if width_pixels is None or width <= width_pixels:
            return text, width
        fits, too_long = 0, len(text)
        while too_long - fits > 1:
            middle = (fits + too_long) // 2
            if self._width(text[:middle].rstrip() + ELLIPSIS, font) <= width_pixels:
                fits = middle
            else:
                too_long = middle
        shown = text[:fits].rstrip() + ELLIPSIS
        return shown, self._width(shown, font)

    def _width(self, text: str, font: FontProperties) -> float:
        width, _, _ = self._canvas.get_renderer().get_text_width_height_descent(text, font, ismath=False)
        return float(width)
