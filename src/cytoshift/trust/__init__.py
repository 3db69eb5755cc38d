"""How far a result can be trusted, without any label: criteria, one calibrated score, and what follows from it."""
