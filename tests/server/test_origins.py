from server.origins import Origins, own_origins


def test_a_server_trusts_its_own_pages_and_no_name_that_merely_resolves_to_it() -> None:
    own = Origins(own_origins(app_url="https://vault.example/api", port=8000, embedded=False))
    assert own.allows("https://vault.example")
    assert not own.allows("http://vault.example")
    assert not own.allows("http://localhost:8000")


def test_in_development_loopback_pages_of_this_port_are_own_pages() -> None:
    own = Origins(own_origins(app_url="http://localhost:8000", port=8123, embedded=True))
    for origin in ("http://localhost:8123", "http://127.0.0.1:8123", "http://[::1]:8123", "http://LOCALHOST:8000"):
        assert own.allows(origin)
    for origin in ("http://localhost:8124", "http://attacker.example:8123", "null"):
        assert not own.allows(origin)
