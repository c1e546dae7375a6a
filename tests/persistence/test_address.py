"""Addresses of stores: what is taken, what is refused and why, and that no refusal holds what was written."""

from pathlib import Path

import pytest

from persistence.address import BadAddress, is_loopback, is_private, parse_address


@pytest.mark.parametrize(
    ("text", "scheme", "host", "path", "shown"),
    [
        ("s3://bucket", "s3", "bucket", "", "s3://bucket"),
        ("s3://my.bucket-1/a/b_c/", "s3", "my.bucket-1", "a/b_c", "s3://my.bucket-1/a/b_c"),
        ("S3://bucket/Prefix", "s3", "bucket", "Prefix", "s3://bucket/Prefix"),
        ("gs://bucket/x", "gs", "bucket", "x", "gs://bucket/x"),
        ("az://container/x", "az", "container", "x", "az://container/x"),
        ("file:///mnt/ledger", "file", "", "/mnt/ledger", "file:///mnt/ledger"),
        ("file://localhost/mnt/a%20b", "file", "", "/mnt/a b", "file:///mnt/a%20b"),
        ("https://vault.example.org", "https", "vault.example.org", "", "https://vault.example.org"),
        (
            "https://vault.example.org:8443/x/",
            "https",
            "vault.example.org:8443",
            "x",
            "https://vault.example.org:8443/x",
        ),
        ("http://vault:8080", "http", "vault:8080", "", "http://vault:8080"),
        ("http://[::1]:8080", "http", "[::1]:8080", "", "http://[::1]:8080"),
    ],
)
def test_an_address_is_taken_apart(text: str, scheme: str, host: str, path: str, shown: str):
    address = parse_address(text)
    assert (address.scheme, address.host, address.path) == (scheme, host, path)
    assert str(address) == shown


def test_the_folder_is_a_path():
    assert parse_address("file:///mnt/a%20b").folder() == Path("/mnt/a b")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "s3://bucket/prefix, gs://"),
        ("bucket", "s3://bucket/prefix, gs://"),
        ("ftp://secret", "s3://bucket/prefix, gs://"),
        ("s3:bucket", "a bucket's name"),
        ("s3://", "a bucket's name"),
        ("s3://se cret", "a bucket's name"),
        ("s3://bucket:80", "a bucket's name"),
        ("s3://bucket:secret", "s3://bucket/prefix, gs://"),
        ("s3://[secret", "s3://bucket/prefix, gs://"),
        ("s3://id:secret@bucket", "without credentials"),
        ("https://user:secret@vault.example.org", "without credentials"),
        ("s3://bucket/secret?x=1", "without ? and #"),
        ("s3://bucket/secret#x", "without ? and #"),
        ("s3://bucket/../secret", "prefix"),
        ("s3://bucket/a//secret", "prefix"),
        ("s3://bucket/.secret", "prefix"),
        ("file://mnt/secret", "file:///"),
        ("file:secret", "file:///"),
        ("file:///", "file:///"),
        ("file:///a%00secret", "file:///"),
        ("https://", "the vault's host"),
        ("http://secret.example.org", "https://"),
        ("http://8.8.8.8", "https://"),
    ],
)
def test_what_is_no_address_is_refused_without_being_told_again(text: str, why: str):
    with pytest.raises(BadAddress) as caught:
        parse_address(text)
    assert why in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "loopback", "private"),
    [
        ("localhost", True, True),
        ("127.0.0.1", True, True),
        ("::1", True, True),
        ("minio", False, True),
        ("10.0.0.1", False, True),
        ("vault.railway.internal", False, True),
        ("vault.example.org", False, False),
        ("8.8.8.8", False, False),
    ],
)
def test_how_near_a_host_is(host: str, *, loopback: bool, private: bool):
    assert (is_loopback(host), is_private(host)) == (loopback, private)
