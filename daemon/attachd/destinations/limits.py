"""What is refused here, before any call is made."""

from attachd.errors import Trouble
from attachd.model import ErrorKind, Severity


def require_size(size: int, limit: int) -> None:
    """Refuse a file that is larger than `limits.max_file_size`, both in bytes.

    Raises:
        Trouble: it is.
    """
    if size > limit:
        raise Trouble(
            ErrorKind.TOO_LARGE,
            Severity.LASTING,
            f"the file has {size:,} bytes, the limit is {limit:,}",
            hint="raise limits.max_file_size if storage takes it (S3: up to 5 GiB a PUT), or dismiss",
        )
