"""A small ONVIF camera on loopback: SOAP over HTTP, and answers to WS-Discovery by unicast."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final

NAMESPACES: Final = (
    'xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:tt="http://www.onvif.org/ver10/schema" '
    'xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:trt="http://www.onvif.org/ver10/media/wsdl" '
    'xmlns:ter="http://www.onvif.org/ver10/error"'
)
REFUSAL: Final = (
    "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value></s:Subcode></s:Code>"
    '<s:Reason><s:Text xml:lang="en">Sender not Authorized</s:Text></s:Reason></s:Fault>'
)
OPEN: Final = ("GetSystemDateAndTime", "GetCapabilities", "GetServices")


def envelope(body: str) -> bytes:
    return f'<?xml version="1.0"?><s:Envelope {NAMESPACES}><s:Body>{body}</s:Body></s:Envelope>'.encode()


def profile(token: str, width: int, height: int, *, fps: int = 25, encoding: str = "H264") -> str:
    return f"""
      <trt:Profiles token="{token}" fixed="true"><tt:Name>{token}-stream</tt:Name>
        <tt:VideoEncoderConfiguration token="enc-{token}"><tt:Name>e</tt:Name><tt:UseCount>1</tt:UseCount>
          <tt:Encoding>{encoding}</tt:Encoding>
          <tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution>
          <tt:Quality>5</tt:Quality>
          <tt:RateControl><tt:FrameRateLimit>{fps}</tt:FrameRateLimit><tt:EncodingInterval>1</tt:EncodingInterval>
            <tt:BitrateLimit>4096</tt:BitrateLimit></tt:RateControl>
          <tt:H264><tt:GovLength>50</tt:GovLength><tt:H264Profile>Main</tt:H264Profile></tt:H264>
          <tt:Multicast><tt:Address><tt:Type>IPv4</tt:Type><tt:IPv4Address>0.0.0.0</tt:IPv4Address></tt:Address>
            <tt:Port>0</tt:Port><tt:TTL>1</tt:TTL><tt:AutoStart>false</tt:AutoStart></tt:Multicast>
          <tt:SessionTimeout>PT60S</tt:SessionTimeout></tt:VideoEncoderConfiguration></trt:Profiles>"""


class FakeCamera:
    """The camera.

    Attributes:
        password: of the user ``viewer``; everything is open where it is empty.
        streams: token → RTSP address that the camera gives.
        answers: operation → (status, headers, body) instead of the usual answer.
        asked: operations in the order of the requests, with ``+`` behind those that came with credentials.
        requests: the requests' bodies.
    """

    def __init__(self, password: str = "", *, hour: int = 12) -> None:
        self.password = password
        self.hour = hour
        self.asked: list[str] = []
        self.requests: list[str] = []
        self.profiles = [profile("main", 2560, 1440), profile("sub", 640, 360, fps=15), profile("tiny", 160, 90)]
        self.streams = {token: f"rtsp://127.0.0.1:554/{token}" for token in ("main", "sub", "tiny")}
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.media = ""
        camera = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status, headers, body = camera.answer(text)
                self.send_response(status)
                for name, value in {"Content-Type": "application/soap+xml", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="fake-camera")

    @property
    def xaddr(self) -> str:
        return f"http://127.0.0.1:{self.port}/onvif/device_service"

    def __enter__(self) -> FakeCamera:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, text: str) -> tuple[int, dict[str, str], bytes]:
        found = re.search(r"Body[^>]*>\s*<(?:\w+:)?(\w+)", text)
        operation = found[1] if found else ""
        self.requests.append(text)
        self.asked.append(operation + ("+" if "UsernameToken" in text else ""))
        if operation in self.answers:
            return self.answers[operation]
        if self.password and operation not in OPEN and not self._may(text):
            return 400, {}, envelope(REFUSAL)
        return 200, {}, envelope(getattr(self, f"_{operation}")(text))

    def _may(self, text: str) -> bool:
        """UsernameToken Profile 1.0: digest = Base64(SHA-1(nonce + created + password))."""
        parts = [re.search(rf"<(?:\w+:)?{name}[^>]*>([^<]*)<", text) for name in ("Nonce", "Created", "Password")]
        nonce, created, digest = (part[1] if part else "" for part in parts)
        plain = base64.b64decode(nonce) + created.encode() + self.password.encode()
        right = base64.b64encode(hashlib.sha1(plain).digest()).decode() == digest
        return right and f"T{self.hour:02d}:" in created

    def _GetSystemDateAndTime(self, _text: str) -> str:  # noqa: N802
        return f"""<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType>
          <tt:DaylightSavings>false</tt:DaylightSavings><tt:UTCDateTime>
          <tt:Time><tt:Hour>{self.hour}</tt:Hour><tt:Minute>10</tt:Minute><tt:Second>0</tt:Second></tt:Time>
          <tt:Date><tt:Year>2001</tt:Year><tt:Month>2</tt:Month><tt:Day>3</tt:Day></tt:Date></tt:UTCDateTime>
          </tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"""

    def _GetDeviceInformation(self, _text: str) -> str:  # noqa: N802
        return """<tds:GetDeviceInformationResponse><tds:Manufacturer>Acme</tds:Manufacturer>
          <tds:Model>Eye\u009b31m 4</tds:Model><tds:FirmwareVersion>1.2.3</tds:FirmwareVersion>
          <tds:SerialNumber>77</tds:SerialNumber><tds:HardwareId>h</tds:HardwareId></tds:GetDeviceInformationResponse>"""

    def _GetCapabilities(self, _text: str) -> str:  # noqa: N802
        media = self.media or f"http://127.0.0.1:{self.port}/onvif/media"
        return f"""<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Media><tt:XAddr>{media}</tt:XAddr>
          <tt:StreamingCapabilities/></tt:Media></tds:Capabilities></tds:GetCapabilitiesResponse>"""

    def _GetServices(self, _text: str) -> str:  # noqa: N802
        return f"""<tds:GetServicesResponse><tds:Service><tds:Namespace>http://www.onvif.org/ver10/media/wsdl
          </tds:Namespace><tds:XAddr>http://127.0.0.1:{self.port}/onvif/media</tds:XAddr>
          <tds:Version><tt:Major>2</tt:Major><tt:Minor>1</tt:Minor></tds:Version></tds:Service></tds:GetServicesResponse>"""

    def _GetProfiles(self, _text: str) -> str:  # noqa: N802
        return f"<trt:GetProfilesResponse>{''.join(self.profiles)}</trt:GetProfilesResponse>"

    def _GetStreamUri(self, text: str) -> str:  # noqa: N802
        found = re.search(r"ProfileToken>(\w+)<", text)
        uri = self.streams[found[1] if found else ""].replace("&", "&amp;")
        return f"""<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>{uri}</tt:Uri>
          <tt:InvalidAfterConnect>false</tt:InvalidAfterConnect><tt:InvalidAfterReboot>false</tt:InvalidAfterReboot>
          <tt:Timeout>PT0S</tt:Timeout></trt:MediaUri></trt:GetStreamUriResponse>"""


def probe_match(relates_to: str, xaddrs: str, *, scopes: str = "", endpoint: str = "urn:uuid:2") -> bytes:
    """An answer to a WS-Discovery question, as cameras write it."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope"
 xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl">
<SOAP-ENV:Header><wsa:MessageID>uuid:1</wsa:MessageID><wsa:RelatesTo>{relates_to}</wsa:RelatesTo>
<wsa:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</wsa:To>
<wsa:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/ProbeMatches</wsa:Action></SOAP-ENV:Header>
<SOAP-ENV:Body><d:ProbeMatches><d:ProbeMatch><wsa:EndpointReference><wsa:Address>{endpoint}</wsa:Address>
</wsa:EndpointReference><d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>{scopes}</d:Scopes>
<d:XAddrs>{xaddrs}</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches>
</SOAP-ENV:Body></SOAP-ENV:Envelope>""".encode()


class FakeAnnouncer:
    """Answers questions that come to a UDP port of loopback.

    Args:
        answers: sent to each question; ``{id}`` stands for the question's message identifier.
    """

    def __init__(self, *answers: bytes) -> None:
        self._answers = answers
        self.questions: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self.group: tuple[str, int] = self._socket.getsockname()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fake-announcer")

    def __enter__(self) -> FakeAnnouncer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                data, sender = self._socket.recvfrom(65535)
            except TimeoutError:
                continue
            self.questions.append(data.decode())
            for answer in self._answers:
                self._socket.sendto(answer, sender)
