"""Keeps a counter where files stay, logs where logs go, and knows its own number."""

import logging
import os

import panoramasdk

COUNTER = "/opt/aws/panorama/storage/counter"
logger = logging.getLogger(__name__)
handler = logging.FileHandler("/opt/aws/panorama/logs/app.log")
logger.addHandler(handler)
logger.setLevel(logging.INFO)


class Application(panoramasdk.node):
    def __init__(self):
        super().__init__()
        self.starts = int(open(COUNTER).read()) + 1 if os.path.exists(COUNTER) else 1
        with open(COUNTER, "w") as file:
            file.write(str(self.starts))
        logger.info("%s start %d", os.environ["AppGraph_Uid"], self.starts)

    def run(self):
        while True:
            streams = self.inputs.video_in.get()
            for stream in streams:
                stream.add_label("start {}".format(self.starts), 0.02, 0.05)
            self.outputs.video_out.put(streams)


Application().run()
