"""A class derived from the node that never calls its base, as most applications are."""

import panoramasdk

from yolox import CLASSES, decode, prepare


class Application(panoramasdk.node):
    def __init__(self):
        self.model_node = "detector"
        self.frames = 0
        self.threshold = self.inputs.threshold.get()

    def process_streams(self):
        streams = self.inputs.video_in.get()
        for stream in streams:
            self.process_media(stream)
        self.outputs.video_out.put(streams)
        self.frames += 1

    def process_media(self, stream):
        data, ratio = prepare(stream.image)
        results = self.call({"images": data}, self.model_node)
        if results is None:
            return
        height, width, _ = stream.image.shape
        for label, score, box in decode(results[0], ratio, self.threshold):
            left, top, right, bottom = box[0] / width, box[1] / height, box[2] / width, box[3] / height
            stream.add_rect(left, top, right, bottom)
            stream.add_label("{} {:.2f}".format(CLASSES[label], score), left, top)


def main():
    print("starting", flush=True)
    app = Application()
    while True:
        app.process_streams()


if __name__ == "__main__":
    main()
