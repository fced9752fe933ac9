def resident(bench):
    pass
