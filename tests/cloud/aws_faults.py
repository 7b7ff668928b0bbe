"""A proxy before moto's server that answers some calls as AWS does when something is wrong.

The shapes of errors are those of "Error codes for the Amazon EC2 API" (EC2 API reference), "Common errors" (IAM and
STS API references), "Error responses" (S3 API reference) and "Common Error Types" (Secrets Manager API reference; JSON
1.1). Everything else goes to moto.
"""

from __future__ import annotations

import dataclasses
import http.client
import re
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs

from tests.cloud.s3_actions import action_of

EC2_ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>{code}</Code>'
    "<Message>{message}</Message></Error></Errors><RequestID>of-a-test</RequestID></Response>"
)
S3_ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>'
    "<RequestId>of-a-test</RequestId></Error>"
)
QUERY_ERROR = (
    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>"
    "</Error><RequestId>of-a-test</RequestId></ErrorResponse>"
)
JSON_ERROR = '{{"__type": "{code}", "Message": "{message}"}}'
# Of a launch template, among what its versions tag.
OWN_TAGS = re.compile(
    rb"<item>\s*<resourceType>launch-template</resourceType>\s*<tagSet>.*?</tagSet>\s*</item>",
    re.DOTALL,
)
# Not passed on: they are about one connection.
HOP = ("connection", "transfer-encoding", "content-length", "host")


@dataclasses.dataclass
class Fault:
    """What some calls of one action get instead of an answer."""

    action: str
    status: int
    code: str
    message: str
    times: int = 1
    after: int = 0
    """So many calls are answered before."""

    def strikes(self) -> bool:
        """Tell whether this call is one of them."""
        if self.after:
            self.after -= 1
            return False
        self.times -= 1
        return self.times >= 0


def whole(action: str, answer: bytes) -> bytes:
    """Return an answer as AWS gives it, where moto's is another.

    "DescribeVolumes" (EC2 API reference): a volume that is made of no snapshot has an empty snapshotId.
    "DescribeDBInstances" (RDS API reference): a disk of gp3 has a throughput and IOPS, asked for or not.
    "DescribeLaunchTemplateVersions": what is to be tagged by a version, without the tags of the template itself.
    """
    if action == "DescribeVolumes" and b"<snapshotId" not in answer:
        return answer.replace(b"<createTime>", b"<snapshotId/><createTime>")
    if action == "DescribeDBInstances":
        gp3 = b"<StorageType>gp3</StorageType>"
        more = b"<StorageThroughput>125</StorageThroughput><Iops>3000</Iops>"
        return answer.replace(gp3, gp3 + more)
    if action == "DescribeLaunchTemplateVersions":
        return OWN_TAGS.sub(b"", answer)
    return answer


class Proxy:
    """The proxy, for a `with` block."""

    def __init__(self, upstream: int) -> None:
        """Stand before the server at a port of 127.0.0.1."""
        self.calls: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self.afterwards: dict[str, Callable[[bytes], None]] = {}
        """What happens once, after an action has been answered, with the answer."""
        self.instead: dict[str, Callable[[dict[str, list[str]], bytes], bytes]] = {}
        """What is said in place of an answer, made of what was asked and of the answer; well, unless it is an error."""
        lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            """Answers one call."""

            protocol_version = "HTTP/1.1"
            timeout = 60

            def do_POST(self) -> None:
                """Answer one call."""
                self.pass_on()

            # S3's, which has no other calls.
            do_GET = do_HEAD = do_PUT = do_DELETE = do_POST  # noqa: N815

            def pass_on(self) -> None:
                """Pass a call on, or answer it with a fault."""
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                # As secretsmanager.GetSecretValue, of a service that speaks JSON.
                target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
                # Signed for a service: Credential=KEY/DATE/REGION/SERVICE/aws4_request
                service = self.headers.get("Authorization", "///").split("/")[3]
                asked = {} if service == "s3" else parse_qs(body.decode())
                if service == "s3":
                    action = action_of(self.command, self.path)
                else:
                    action = target or asked.get("Action", [""])[0]
                with lock:
                    proxy.calls[f"{service}:{action}"] += 1
                    fault = next(
                        (item for item in proxy.faults if item.action == action and item.strikes()),
                        None,
                    )
                    then = None if fault else proxy.afterwards.pop(action, None)
                    instead = proxy.instead.get(action)
                if fault:
                    forms = {"ec2": EC2_ERROR, "s3": S3_ERROR}
                    form = forms.get(service, JSON_ERROR if target else QUERY_ERROR)
                    kind = "application/x-amz-json-1.1" if target else "text/xml"
                    error = form.format(code=fault.code, message=fault.message)
                    self.answer(fault.status, [("Content-Type", kind)], error.encode())
                    return
                upstreams = http.client.HTTPConnection("127.0.0.1", upstream, timeout=60)
                headers = {
                    name: value for name, value in self.headers.items() if name.lower() not in HOP
                }
                upstreams.request(self.command, self.path, body, headers)
                response = upstreams.getresponse()
                content = response.read()
                upstreams.close()
                if then:
                    then(content)
                if instead:
                    text = instead(asked, content)
                    status = 404 if text.startswith(b"<ErrorResponse") else 200
                    self.answer(status, [("Content-Type", "text/xml")], text)
                    return
                self.answer(response.status, response.getheaders(), whole(action, content))

            def answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
                """Send an answer."""
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in (*HOP, "date", "server"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    def __enter__(self) -> Proxy:
        """Serve."""
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server.server_port}"
