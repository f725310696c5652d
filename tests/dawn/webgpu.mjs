// Dawn for programs of other folders, whose own packages don't have it.

export { create, globals } from "webgpu";
