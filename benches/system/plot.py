"""Line plots as SVG that reads in light and in dark, with nothing but the standard library."""

import math

COLOURS = ["#2f6fde", "#d9730d", "#2e9e5b", "#a24bcf"]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 360, 70, 110, 40, 50


def steps(low, high):
    """About five round numbers from low to high."""
    span = (high - low) or 1
    size = 10 ** math.floor(math.log10(span / 4))
    size = next(size * factor for factor in (1, 2, 5, 10) if span / (size * factor) <= 6)
    first = math.ceil(low / size) * size
    return [first + i * size for i in range(int((high - first) / size + 1e-9) + 1)]


def word(value):
    return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.2g}"


def lines(title, across, up, curves, log=False, zero=True):
    xs = [x for curve in curves.values() for x, _ in curve]
    ys = [y for curve in curves.values() for _, y in curve]
    scale = (lambda x: math.log10(max(x, 1))) if log else (lambda x: x)
    x0, x1 = scale(min(xs)), scale(max(xs))
    y0, y1 = (0 if zero else min(ys)), max(ys) * 1.1

    def place(x, y):
        return (LEFT + (scale(x) - x0) / ((x1 - x0) or 1) * (WIDTH - LEFT - RIGHT),
                HEIGHT - BOTTOM - (y - y0) / ((y1 - y0) or 1) * (HEIGHT - TOP - BOTTOM))

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
           f'aria-label="{title}" font-family="system-ui, sans-serif" font-size="13">',
           "<style>text{fill:#1f2328}line{stroke:#d1d9e0}"
           "@media (prefers-color-scheme:dark){text{fill:#e6edf3}line{stroke:#3d444d}}</style>",
           f'<text x="{LEFT}" y="22" font-size="15">{title}</text>']
    for y in steps(y0, y1):
        _, at = place(min(xs), y)
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
                   f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{word(y)}</text>')
    marks = ([10 ** i for i in range(math.ceil(x0), int(x1 + 1e-9) + 1)] if log
             else steps(min(xs), max(xs)))
    for x in marks:
        at, _ = place(x, y0)
        out.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{word(x)}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{across}</text>'
               f'<text x="{LEFT - 8}" y="{TOP - 4}" text-anchor="end">{up}</text>')
    for (name, curve), colour in zip(curves.items(), COLOURS):
        points = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in curve)
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>')
        if len(curve) < 20:
            out += ['<circle cx="{:.1f}" cy="{:.1f}" r="3.5" fill="{}"/>'.format(*place(x, y), colour)
                    for x, y in curve]
        at = place(*curve[-1])
        out.append(f'<text x="{at[0] + 8:.1f}" y="{at[1] + 4:.1f}">{name}</text>')
    return "\n".join(out + ["</svg>\n"])
