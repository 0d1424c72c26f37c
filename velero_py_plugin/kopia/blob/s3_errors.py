"""What the exceptions of boto3 mean for a repository.

No text made here holds a secret: of the client's own texts only those are repeated that name addresses and files.
"""

from __future__ import annotations

import os
from typing import Any, Final

import botocore.exceptions as boto_errors
import botocore.parsers

from velero_py_plugin import errors as base_errors
from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.blob.location import S3Location

#: What boto3 raises on purpose, and what it lets through when settings are unusable.
EXCEPTIONS: Final = (
    boto_errors.BotoCoreError,
    boto_errors.ClientError,
    botocore.parsers.ResponseParserError,
    OSError,
    ValueError,
)

_NO_SUCH_BLOB: Final = frozenset({"NoSuchKey", "404", "NotFound"})
_NO_SUCH_RANGE: Final = frozenset({"InvalidRange", "416"})
_WRONG_CREDENTIALS: Final = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidToken",
        "TokenRefreshRequired",
    }
)
_DENIED: Final = frozenset({"AccessDenied", "AllAccessDisabled", "AccountProblem", "403", "Forbidden"})
_OTHER_REGION: Final = frozenset(
    {
        "PermanentRedirect",
        "TemporaryRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "301",
    }
)
_TEMPORARY: Final = frozenset(
    {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "RequestLimitExceeded"}
)
_NO_ANSWER: Final = (
    boto_errors.ConnectionError,
    boto_errors.HTTPClientError,
    boto_errors.IncompleteReadError,
    ConnectionError,
    TimeoutError,
)
_NO_CREDENTIALS: Final = (
    boto_errors.NoCredentialsError,
    boto_errors.PartialCredentialsError,
    boto_errors.CredentialRetrievalError,
    boto_errors.UnknownCredentialError,
    boto_errors.TokenRetrievalError,
    boto_errors.NoAuthTokenError,
    boto_errors.SSOError,
)
_HOW_TO_GIVE_CREDENTIALS: Final = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a file in AWS_SHARED_CREDENTIALS_FILE"
)


def place(location: S3Location) -> str:
    """Names a location in words: bucket, prefix and server."""
    return f"s3://{location.bucket}/{location.prefix} at {location.endpoint or 'AWS'}"


def is_missing(error: BaseException) -> bool:
    """Tells whether the server said that the object does not exist."""
    return isinstance(error, boto_errors.ClientError) and _code(error) in _NO_SUCH_BLOB


def is_outside(error: BaseException) -> bool:
    """Tells whether the server said that the object ends before the range that was asked for."""
    return isinstance(error, boto_errors.ClientError) and _code(error) in _NO_SUCH_RANGE


def missing_bucket(location: S3Location) -> errors.StorageError:
    """Makes the error of a bucket that does not exist."""
    return errors.StorageError(
        f'The bucket "{location.bucket}" does not exist at {location.endpoint or "AWS"}; '
        "create it or correct the location."
    )


def translate(error: Exception, location: S3Location, action: str) -> base_errors.Error:
    """Makes an error of this package.

    Args:
        error: One of ``EXCEPTIONS``.
        location: Where the request went.
        action: What was asked for, to follow "Cannot".

    Returns:
        A StorageError, or a StorageUnavailableError when the same request may succeed later.
    """
    cannot = f"Cannot {action} in {place(location)}"
    if isinstance(error, boto_errors.ClientError):
        return _translate_answer(error, location, cannot)
    if isinstance(error, boto_errors.SSLError):
        return _translate_tls(str(error), location, cannot)
    if isinstance(error, _NO_ANSWER):
        return errors.StorageUnavailableError(f"{cannot}: the server does not answer ({_first_line(error)}).")
    if isinstance(error, boto_errors.ProfileNotFound):
        return errors.StorageError(
            f"{cannot}: the credentials file has no profile {location.profile or os.environ.get('AWS_PROFILE', '')!r}; "
            f"add it or correct the name."
        )
    if isinstance(error, _NO_CREDENTIALS):
        kind = type(error).__name__
        return errors.StorageError(f"{cannot}: no usable credentials were found ({kind}); {_HOW_TO_GIVE_CREDENTIALS}.")
    return errors.StorageError(
        f"{cannot}: the request cannot be made, or its answer not be understood ({_first_line(error)})."
    )


def _translate_answer(error: Any, location: S3Location, cannot: str) -> base_errors.Error:
    code = _code(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    if code == "NoSuchBucket":
        return missing_bucket(location)
    if code in _WRONG_CREDENTIALS:
        return errors.StorageError(
            f"{cannot}: the server does not accept the credentials ({code}); check the keys and this machine's clock."
        )
    if code in _DENIED:
        return errors.StorageError(
            f"{cannot}: the server denies it ({code}); check the keys, and allow them s3:ListBucket on the bucket, "
            "and s3:GetObject, s3:PutObject and s3:DeleteObject on its objects."
        )
    if code == "RequestTimeTooSkewed":
        return errors.StorageError(f"{cannot}: this machine's clock differs too much from the server's; set it.")
    if code in _OTHER_REGION:
        return errors.StorageError(f"{cannot}: the bucket is in another region ({code}); correct the region.")
    if code in _TEMPORARY or status == 429 or status >= 500:
        return errors.StorageUnavailableError(f"{cannot}: the server fails for now ({_status(status, code)}).")
    return errors.StorageError(f"{cannot}: the server refuses it ({_status(status, code)}).")


def _translate_tls(text: str, location: S3Location, cannot: str) -> base_errors.Error:
    if "CERTIFICATE_VERIFY_FAILED" in text:
        trusted = f"the certificates in {location.ca_file}" if location.ca_file else "the system's certificates"
        return errors.StorageError(
            f"{cannot}: the server's certificate is not trusted by {trusted}; name a file with its CA in ca-file."
        )
    if "WRONG_VERSION_NUMBER" in text:
        return errors.StorageError(f"{cannot}: the server does not speak TLS; write http:// in the endpoint.")
    return errors.StorageUnavailableError(f"{cannot}: no TLS connection comes about ({text.splitlines()[0]}).")


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(status: int, code: str) -> str:
    # An answer without a body, or with one that nobody understands, has its status for a code.
    return code if code == str(status) else f"{status} {code}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
