// The templates load pictures and a film of this pack. Opening one puts those that are missing into ComfyUI's input
// folder, where nothing is overwritten; a graph without a node of this pack asks for nothing.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const PACK = decodeURIComponent(new URL(import.meta.url).pathname.split("/").at(-2));
// Loaders, and the input of each that names a file.
const LOADERS = { LoadImage: "image", LoadImageMask: "image", LoadVideo: "file" };

const definition = (type) => window.LiteGraph.registered_node_types[type]?.nodeData;

// The names that a loader offers: the list itself, which its widgets share.
function choices(type) {
  const [names, options] = definition(type).input.required[LOADERS[type]];
  return Array.isArray(names) ? names : options.options;
}

// Resolves to the name under which the input folder now has the example, or to null where the pack has none.
async function copyExample(name) {
  const path = [PACK, "examples", name].map(encodeURIComponent).join("/");
  const example = await api.fetchApi(`/workflow_templates/${path}`);
  if (!example.ok) return null;
  const form = new FormData();
  form.append("image", await example.blob(), name);
  const answer = await api.fetchApi("/upload/image", { method: "POST", body: form });
  if (!answer.ok) throw new Error(`ComfyUI did not take ${name}: ${answer.status} ${answer.statusText}`);
  return (await answer.json()).name;
}

async function copyExamples(graph) {
  const graphs = [graph, ...(graph.definitions?.subgraphs ?? [])];
  const nodes = graphs.flatMap((each) => each.nodes ?? []);
  if (!nodes.some((node) => definition(node.type)?.python_module === `custom_nodes.${PACK}`)) return;
  const copies = new Map();
  for (const node of nodes.filter((node) => node.type in LOADERS)) {
    const name = node.widgets_values?.[0];
    if (typeof name !== "string" || choices(node.type).includes(name)) continue;
    if (!copies.has(name)) copies.set(name, await copyExample(name));
    const copy = copies.get(name);
    if (copy === null) continue;
    node.widgets_values[0] = copy;
    const alike = Object.keys(LOADERS).filter((type) => LOADERS[type] === LOADERS[node.type]);
    for (const names of alike.map(choices)) if (!names.includes(copy)) names.push(copy);
  }
}

app.registerExtension({
  name: "AdaIN.Examples",
  async beforeConfigureGraph(graph) {
    try {
      await copyExamples(graph);
    } catch (error) {
      // The workflow opens all the same, with red loaders, as it would without the examples.
      app.extensionManager.toast.add({ severity: "warn", summary: "AdaIN examples", detail: error.message });
    }
  },
});
