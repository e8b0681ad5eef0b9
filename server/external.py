"""What processes share."""

from core.settings import Settings
from server.errors import CannotRun


def require_external(settings: Settings, command: str) -> str:
    """The URL of the database that processes share.

    Raises:
        CannotRun: when MONGO_URL or REDIS_URL is not set.
    """
    missing = [name for name in ("mongo_url", "redis_url") if getattr(settings, name) is None]
    if settings.mongo_url is None or missing:
        names = " and ".join(name.upper() for name in missing)
        raise CannotRun(f"`{command}` shares its data with other processes and needs {names}; `dev` runs without")
    return settings.mongo_url.get_secret_value()
