"""Numbers from measurements, and how they are written."""


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def median(values):
    return percentile(values, 0.5)


def mega(size):
    return f"{size / 1e6:.2f} MB"
