"""Several cameras on one input: a list of pictures, some of them seen before."""

import panoramasdk


class Application(panoramasdk.node):
    def __init__(self):
        super().__init__()
        self.seen = {}

    def run(self):
        while True:
            streams = self.inputs.video_in.get()
            for stream in streams:
                if stream.is_cached:
                    continue
                self.seen[stream.stream_id] = self.seen.get(stream.stream_id, 0) + 1
                stream.add_rect(0.25, 0.25, 0.75, 0.75)
                stream.add_label("camera {}".format(stream.stream_id), 0.25, 0.25)
            self.outputs.video_out.put([stream for stream in streams if not stream.is_cached])


Application().run()
