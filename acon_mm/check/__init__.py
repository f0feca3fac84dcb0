"""Whether the override left a model whole: the stock model beside it.

``subject`` names what is built, ``build`` builds it as it is and with the
override on the same ``weights``. ``inputs`` draws what it takes, ``compare``
holds the outputs against each other at the ``limit`` where ACON computes what
it replaced, and ``watch`` sees what runs there. ``training`` asks for
gradients. ``config`` finds the overrides of a user's config and ``report``
prints what came out.
"""
