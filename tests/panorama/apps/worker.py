"""A thread that runs the model while the main loop gives it pictures; everything is caught, as such code does."""

import queue
import threading

import panoramasdk

from yolox import CLASSES, decode, prepare


class Application(panoramasdk.node):
    def __init__(self, depth):
        super().__init__()
        self.todo = queue.Queue(depth)
        self.done = queue.Queue()
        self.terminate = False
        self.worker = threading.Thread(target=self.work)
        self.worker.daemon = True
        self.worker.start()

    def work(self):
        while not self.terminate:
            try:
                media = self.todo.get()
                data, ratio = prepare(media.image)
                output = self.call({"images": data}, "detector", time_out=None)[0]
                self.done.put((media, decode(output, ratio, self.inputs.threshold.get())))
            except:
                print("worker failed", flush=True)

    def loop(self):
        while not self.terminate:
            try:
                for media in self.inputs.video_in.get():
                    self.todo.put(media)
                    media, found = self.done.get()
                    height, width = media.image.shape[:2]
                    for label, _, box in found:
                        media.add_rect(box[0] / width, box[1] / height, box[2] / width, box[3] / height)
                        media.add_label(CLASSES[label], box[0] / width, box[1] / height)
                    self.outputs.video_out.put([media])
            except:
                print("loop failed", flush=True)


Application(depth=2).loop()
