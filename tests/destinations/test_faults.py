import inspect
import ssl

import pytest
import requests.exceptions
import urllib3.exceptions

from attachd.destinations.faults import TABLE, Sent, fault_of
from attachd.model import ErrorKind


def exception_classes(module, base):
    """List the exceptions of a module that are no warnings."""
    members = [value for _, value in inspect.getmembers(module, inspect.isclass)]
    return [each for each in members if issubclass(each, base) and not issubclass(each, Warning)]


def test_every_exception_of_the_libraries_has_a_row():
    """A new exception class of requests or urllib3 must be looked at before it is met."""
    classes = exception_classes(requests.exceptions, requests.exceptions.RequestException)
    classes += exception_classes(urllib3.exceptions, urllib3.exceptions.HTTPError)
    assert len(classes) > 50
    assert [each for each in classes if each not in TABLE] == []


def test_before_the_request_nothing_was_sent():
    """Whatever the class, a request that was not begun was not sent."""
    for kind in TABLE:
        fault = fault_of(make(kind), host="h", begun=False)
        assert fault.sent is Sent.NO


def test_during_the_request_nothing_is_ruled_out():
    """Whatever the class, a request that was begun may have arrived."""
    for kind in TABLE:
        fault = fault_of(make(kind), host="h", begun=True)
        assert fault.sent is not Sent.NO
        assert fault.kind is not ErrorKind.TLS


def make(kind):
    """Make an exception of any class, with a text that must not be seen."""
    error = kind.__new__(kind)
    error.args = ("https://host/k?X-Amz-Signature=canary",)
    return error


def test_texts_of_the_libraries_are_not_passed_on():
    """The libraries' own texts hold URLs and header values."""
    for kind in TABLE:
        for begun in (False, True):
            assert "canary" not in fault_of(make(kind), host="h", begun=begun).message


@pytest.mark.parametrize(
    ("inner", "begun", "kind", "words"),
    [
        (
            ConnectionRefusedError(111, "Connection refused"),
            False,
            "network",
            "no connection to h: Connection refused",
        ),
        (
            ConnectionResetError(104, "Connection reset by peer"),
            True,
            "network",
            "the connection to h broke: Connection",
        ),
        (TimeoutError("timed out"), True, "timeout", "h did not answer in time"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] x"), False, "tls", "no secure connection to h"),
        (ValueError("odd"), True, "network", "the connection to h broke"),
    ],
)
def test_what_is_inside_counts(inner, begun, kind, words):
    """The library's wrapping is taken off to find what really happened."""
    wrapped = requests.exceptions.ConnectionError(
        urllib3.exceptions.ProtocolError("Connection aborted.", inner)
    )
    fault = fault_of(wrapped, host="h", begun=begun)
    assert fault.kind.value == kind
    assert fault.message.startswith(words)


def test_exceptions_that_hold_themselves_end():
    """A cycle of causes does not keep the translation from ending."""
    error = requests.exceptions.ConnectionError()
    error.__cause__ = error
    assert fault_of(error, host="h", begun=True).kind is ErrorKind.NETWORK
