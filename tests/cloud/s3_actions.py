"""Which right a call of S3 needs: it is said by method and path, and not by a name as with other services.

"Actions, resources, and condition keys for Amazon S3" (Service Authorization Reference).
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

# What is asked of a bucket, as its query has it, and what it is called in a policy.
PARTS = {
    "accelerate": "AccelerateConfiguration",
    "acl": "BucketAcl",
    "encryption": "EncryptionConfiguration",
    "inventory": "InventoryConfiguration",
    "lifecycle": "LifecycleConfiguration",
    "location": "BucketLocation",
    "object-lock": "BucketObjectLockConfiguration",
    "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy",
    "publicAccessBlock": "BucketPublicAccessBlock",
    "requestPayment": "BucketRequestPayment",
    "tagging": "BucketTagging",
    "versioning": "BucketVersioning",
}
BUCKET = {
    "HEAD": "ListBucket",
    "GET": "ListBucket",
    "PUT": "CreateBucket",
    "DELETE": "DeleteBucket",
}
OBJECT = {"HEAD": "GetObject", "GET": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}


def action_of(method: str, target: str) -> str:
    """Return the right that a call needs."""
    address = urlsplit(target)
    query = parse_qs(address.query, keep_blank_values=True)
    bucket, _, key = address.path.lstrip("/").partition("/")
    if not bucket:
        return "ListAllMyBuckets"
    if key:
        return OBJECT[method]
    if "versions" in query:
        return "ListBucketVersions"
    if method == "POST" and "delete" in query:
        # Of all versions, which is what emptying a bucket means.
        return "DeleteObjectVersion"
    for name, part in PARTS.items():
        if name in query:
            # There is no right of its own to remove most of them.
            verb = {"GET": "Get", "PUT": "Put", "DELETE": "Put"}[method]
            return f"{'Delete' if (name, method) == ('policy', 'DELETE') else verb}{part}"
    return BUCKET[method]
