"""What checks the package's signatures in the tests: an int is a float, as Python's typing says."""

from beartype import BeartypeConf, beartype

typechecked = beartype(conf=BeartypeConf(is_pep484_tower=True))
