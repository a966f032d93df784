"""What a batch's transaction can meet and recover from by being decided again."""


class Contended(Exception):
    """Rows changed between the load and the write (or a lease was taken away): roll back, load and decide again."""
