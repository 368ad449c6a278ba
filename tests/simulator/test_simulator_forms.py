import pytest

from attachd.simulator.forms import Form, FormError, Part, boundary_of

BODY = (
    b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\na\r\n--c\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\n\r\n--b--\r\n"
)


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1000])
def test_a_form_is_the_same_in_blocks_of_any_size(size):
    """Heads, contents and boundaries are found wherever a block ends within them."""
    form = Form((BODY[i : i + size] for i in range(0, len(BODY), size)), b"b")
    assert form.next() == Part(name="key", filename=None, content_type="")
    assert b"".join(form.content()) == b"a\r\n--c"
    assert form.next() == Part(name="file", filename="x.txt", content_type="text/plain")
    assert b"".join(form.content()) == b""
    assert form.next() is None


def _read(body):
    form = Form(iter([body]), b"b")
    while form.next() is not None:
        b"".join(form.content())


def test_a_form_that_was_cut_anywhere_is_none():
    """Wherever the bytes end before the last boundary, that is noticed."""
    _read(BODY)
    for length in range(len(BODY) - 2):
        with pytest.raises(FormError, match="ends without its last boundary"):
            _read(BODY[:length])


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('multipart/form-data; charset=utf-8; boundary="a b"', b"a b"),
        ("multipart/form-data; Boundary=x; charset=utf-8", b"x"),
        ("multipart/form-data; boundary=", None),
    ],
)
def test_a_boundary_is_read_from_the_content_type(content_type, boundary):
    """The parameter is found with and without quotes, among others."""
    assert boundary_of(content_type) == boundary
