"""Line plots as SVG, for a light or a dark page, with nothing but the standard library."""

import math
from html import escape

LIGHT = {"text": "#1f2328", "soft": "#59636e", "grid": "#e3e7eb", "axis": "#818b98", "page": "#ffffff",
         "curves": ["#0969da", "#bc4c00", "#1a7f37", "#8250df"]}
DARK = {"text": "#f0f6fc", "soft": "#9198a1", "grid": "#2a3038", "axis": "#656c76", "page": "#0d1117",
        "curves": ["#4493f8", "#f0883e", "#3fb950", "#ab7df8"]}
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 340, 68, 92, 66, 52
# Between the names of two curves that end side by side.
APART = 17


def steps(low, high):
    """About five round numbers from low to high."""
    span = (high - low) or 1
    size = 10 ** math.floor(math.log10(span / 4))
    size = next(size * factor for factor in (1, 2, 5, 10) if span / (size * factor) <= 5.5)
    first = math.ceil(low / size - 1e-9)
    return [(first + i) * size for i in range(int((high - first * size) / size + 1e-9) + 1)]


def word(value):
    """10,000 or 1 million or 0.5."""
    if value >= 1_000_000 and value % 1_000_000 == 0:
        return f"{value / 1e6:,.0f} million"
    return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.2g}"


def spread(places, low, high):
    """The same places in their order, none nearer to the next than APART."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    out = dict(enumerate(places))
    for before, after in zip(order, order[1:]):
        out[after] = max(out[after], out[before] + APART)
    if order and out[order[-1]] > high:
        out[order[-1]] = high
        for after, before in zip(order[::-1], order[-2::-1]):
            out[before] = min(out[before], out[after] - APART)
    return [max(low, out[i]) for i in range(len(places))]


def lines(title, across, up, curves, dark=False, log=False, marks=None):
    """`curves` are points by name; the vertical axis begins at zero. `marks` are the places that are
    named on the horizontal one."""
    colour = DARK if dark else LIGHT
    xs = [x for curve in curves.values() for x, _ in curve]
    scale = (lambda x: math.log10(max(x, 1))) if log else (lambda x: x)
    x0, x1 = scale(min(xs)), scale(max(xs))
    heights = steps(0, max(y for curve in curves.values() for _, y in curve) * 1.05)
    heights.append(heights[-1] + heights[1])
    y1 = heights[-1]
    inset = 24 if marks or log else 0

    def place(x, y):
        return (LEFT + inset + (scale(x) - x0) / ((x1 - x0) or 1) * (WIDTH - LEFT - RIGHT - 2 * inset),
                HEIGHT - BOTTOM - y / y1 * (HEIGHT - TOP - BOTTOM))

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
           f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
           '<style>text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: '
           f'{colour["soft"]} }} .h {{ font-size: 16px; font-weight: 600; fill: {colour["text"]} }} '
           '.c { text-anchor: middle } .e { text-anchor: end } .n { font-weight: 600 } '
           # Values stand on the lines of the grid.
           f'.v {{ paint-order: stroke; stroke: {colour["page"]}; stroke-width: 4px }} '
           f'.g {{ stroke: {colour["grid"]} }} .a {{ stroke: {colour["axis"]} }}</style>',
           f'<text class="h" x="16" y="28">{escape(title)}</text>',
           f'<text x="16" y="49">{escape(up)}</text>']
    for y in heights:
        at = place(min(xs), y)[1]
        out.append(f'<path class="{"g" if y else "a"}" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>'
                   f'<text class="e" x="{LEFT - 10}" y="{at + 4.5:.1f}">{word(y)}</text>')
    if not marks:
        marks = ([10 ** i for i in range(math.ceil(x0 - 1e-9), int(x1 + 1e-9) + 1)] if log
                 else steps(min(xs), max(xs)))
    for x in marks:
        at, base = place(x, 0)
        out.append(f'<path class="a" d="M{at:.1f} {base:.1f}v5"/>'
                   f'<text class="c" x="{at:.1f}" y="{base + 21:.1f}">{word(x)}</text>')
    out.append(f'<text class="c" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 9}">{escape(across)}</text>')
    ends = spread([place(*curve[-1])[1] for curve in curves.values()], TOP, HEIGHT - BOTTOM)
    for (name, curve), stroke, end in zip(curves.items(), colour["curves"], ends):
        points = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in curve)
        out.append(f'<polyline fill="none" stroke="{stroke}" stroke-width="2" stroke-linejoin="round" '
                   f'points="{points}"/>')
        if len(curve) < 20:
            out += ['<circle cx="{:.1f}" cy="{:.1f}" r="4.5" fill="{}" stroke="{}" stroke-width="2"/>'.format(
                *place(x, y), stroke, colour["page"]) for x, y in curve]
            # Few enough to say each; the name of the curve stands at its end.
            out += ['<text class="c v" x="{:.1f}" y="{:.1f}">{}</text>'.format(
                place(x, y)[0], place(x, y)[1] - 12, f"{y:,.0f}" if y >= 10 else f"{y:.2f}")
                for x, y in curve]
        out.append(f'<text class="n" style="fill:{stroke}" x="{place(*curve[-1])[0] + 11:.1f}" '
                   f'y="{end + 4.5:.1f}">{escape(name)}</text>')
    return "\n".join(out + ["</svg>\n"])
