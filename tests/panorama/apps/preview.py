"""Written for the preview."""

import panoramasdk.base


class Application(panoramasdk.base.base):
    def interface(self):
        return {"parameters": (), "inputs": (("media[]", "video_in", "Camera"),), "outputs": ()}

    def init(self, parameters, inputs, outputs):
        return True

    def entry(self, inputs, outputs):
        return True


Application().run()
