"""A server that tells how many pictures there were, on a port that the graph leads to."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import panoramasdk


class Application(panoramasdk.node):
    def __init__(self):
        super().__init__()
        self.pictures = 0
        application = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"pictures": application.pictures}).encode())

            def log_message(self, *_):
                pass

        server = HTTPServer(("0.0.0.0", 8080), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.daemon = True
        thread.start()

    def run(self):
        while True:
            self.pictures += len(self.inputs.video_in.get())


Application().run()
