"""What a batch's transaction can meet and recover from by being decided again, whole or in halves."""


class Contended(Exception):
    """Rows changed between the load and the write (or a lease was taken away): roll back, load and decide again."""


class Straddles(Exception):
    """Some of a batch come before a moment at which the rules change, others after it: decide its halves alone."""
