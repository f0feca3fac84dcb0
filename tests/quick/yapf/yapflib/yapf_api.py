"""What MMEngine calls."""


def FormatCode(text, **_):
    return text, False
