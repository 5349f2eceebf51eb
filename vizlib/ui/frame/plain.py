"""Text from files, as it may stand in Markdown."""


def plain(text):
    """Text from files as Markdown that shows it letter by letter: names must not become links,
    pictures or styles.
    """
    return "".join(
        "\\" + letter if letter in "\\`*_{}[]()<>#+-.!|$~:" else letter for letter in str(text)
    )
