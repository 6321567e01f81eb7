// A photo in the style of a picture, by the two ONNX files of docs/onnx.md: style.onnx measures a style once,
// paint.onnx paints whenever a slider moves.

const EXAMPLES = {
  Flow: "style_flow",
  Hatching: "style_hatching",
  Mosaic: "style_mosaic",
  Pointillism: "style_pointillism",
  "Stained glass": "style_stained_glass",
  Watercolor: "style_watercolour",
  Woodcut: "style_woodcut",
};
const STYLE_SIZE = 384; // short side at which a style is measured
const LEAST_SIDE = 16; // of what the models take
const CARD_PATIENCE_MS = 15_000; // for a graphics card's first picture
const MOST_SQUARES = 4; // a long strip is made smaller, to the pixels of so many squares of the size

const byId = (id) => document.getElementById(id);
const [alpha, weight, size, canvas, save] = ["alpha", "weight", "size", "canvas", "save"].map(byId);

// ---- models ----

/** onnxruntime on the graphics card where there is one, else as WebAssembly, in a worker. */
async function loadModels() {
  const card = await navigator.gpu?.requestAdapter().catch(() => null);
  if (card && !card.info?.isFallbackAdapter) {
    try {
      return await createModels("ort.webgpu.bundle.min.mjs", "webgpu");
    } catch (error) {
      console.warn("WebGPU does not run the models, WebAssembly will:", error);
    }
  }
  return createModels("ort.wasm.bundle.min.mjs", "wasm");
}

/** Two functions from numbers {data, dims} by name to numbers by name: what style.onnx and paint.onnx do. */
async function createModels(bundle, provider) {
  const ort = await import(`./ort/${bundle}`);
  ort.env.wasm.proxy = provider === "wasm";
  const create = async (name) => {
    const session = await ort.InferenceSession.create(`onnx/${name}.onnx`, { executionProviders: [provider] });
    // The worker takes the memory of what it is given along, so it is given copies.
    const copy = ([input, { data, dims }]) => [input, new ort.Tensor("float32", data.slice(), dims)];
    return (inputs) => session.run(Object.fromEntries(Object.entries(inputs).map(copy)));
  };
  const models = { provider, style: await create("style"), paint: await create("paint") };
  if (provider === "webgpu") await rehearse(models);
  return models;
}

/** Fails where a graphics card cannot run the models after all, or never answers. */
async function rehearse({ style, paint }) {
  const flat = numbers(new ImageData(LEAST_SIDE, LEAST_SIDE));
  const painted = style({ style: flat }).then(({ statistics }) => paint({ content: flat, statistics, alpha: scalar(1) }));
  const late = new Promise((_, reject) => setTimeout(reject, CARD_PATIENCE_MS, new Error("it does not answer")));
  await Promise.race([painted, late]);
}

// ---- pictures ----

/** Pixels to the numbers [1, 3, height, width] of 0..1 that the models take. */
function numbers({ data, width, height }) {
  const area = width * height;
  const values = new Float32Array(3 * area);
  for (let i = 0; i < area; i++) {
    for (let channel = 0; channel < 3; channel++) values[channel * area + i] = data[4 * i + channel] / 255;
  }
  return { data: values, dims: [1, 3, height, width] };
}

const scalar = (value) => ({ data: new Float32Array([value]), dims: [1] });

/** The way back. */
function pixels({ data, dims: [, , height, width] }) {
  const area = width * height;
  const image = new ImageData(width, height);
  for (let i = 0; i < area; i++) {
    for (let channel = 0; channel < 3; channel++) image.data[4 * i + channel] = Math.round(255 * data[channel * area + i]);
    image.data[4 * i + 3] = 255;
  }
  return image;
}

/** What {name, address} points at as a bitmap, the right way up. */
async function readPicture({ name, address }) {
  try {
    return await createImageBitmap(await (await fetch(address)).blob());
  } catch {
    throw new Error(`${name} cannot be read as a picture. Choose a JPEG, PNG or WebP file.`);
  }
}

const pictureOf = (file) => ({ name: file.name, address: URL.createObjectURL(file) });

/** The pixels of a bitmap whose short side is made as small as `side`, on white where it is transparent. */
function scaled(bitmap, side) {
  const short = Math.min(bitmap.width, bitmap.height);
  const area = bitmap.width * bitmap.height;
  const factor = Math.min(1, side / short, side * Math.sqrt(MOST_SQUARES / area));
  const width = Math.max(LEAST_SIDE, Math.round(factor * bitmap.width));
  const height = Math.max(LEAST_SIDE, Math.round(factor * bitmap.height));
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

// ---- painting ----

const models = loadModels();
const statistics = new Map(); // of styles, as promises
const chosen = { content: null, style: null, second: null }; // pictures as {name, address}
let latest = null; // content that was asked for
let bitmap = null; // of the content
let content = null; // its numbers, at the size that is painted
let wanted = false;
let painting = false;
let tasks = 0; // under way

/** The statistics of a style, measured when they are first asked for. */
function measure(picture) {
  if (!statistics.has(picture)) {
    const measured = Promise.all([models, readPicture(picture)]).then(([{ style }, read]) =>
      style({ style: numbers(scaled(read, STYLE_SIZE)) }),
    );
    statistics.set(picture, measured.then((outputs) => outputs.statistics));
  }
  return statistics.get(picture);
}

/** The weighted mean of the two styles, as AdaIN Mix Styles has it. */
async function mixed() {
  const [first, second] = await Promise.all([chosen.style, chosen.second].filter(Boolean).map(measure));
  if (!second) return first;
  const share = weight.valueAsNumber;
  return { data: first.data.map((value, i) => (1 - share) * value + share * second.data[i]), dims: first.dims };
}

async function paint() {
  const model = await models;
  const started = performance.now();
  content ??= numbers(scaled(bitmap, Number(size.value)));
  const { picture } = await model.paint({ content, statistics: await mixed(), alpha: scalar(alpha.valueAsNumber) });
  show(pixels(picture));
  const seconds = ((performance.now() - started) / 1000).toFixed(2);
  say(`${canvas.width} × ${canvas.height} pixels in ${seconds} s (${model.provider === "wasm" ? "WebAssembly" : "WebGPU"})`);
}

/** Paints what the controls say; of changes that come while it paints, the last counts. */
async function repaint() {
  wanted = true;
  if (painting) return;
  painting = true;
  while (wanted) {
    wanted = false;
    try {
      await working(paint());
      save.disabled = false;
    } catch (error) {
      await explainPainting(error);
    }
  }
  painting = false;
}

async function explainPainting({ message }) {
  say("");
  const loaded = await models.then(() => true, () => false);
  explain(
    loaded
      ? `The picture could not be painted: ${message}. A smaller size needs less memory.`
      : `The model could not be loaded: ${message}. Reload the page to try again.`,
  );
}

// ---- what is seen ----

function show(image) {
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Shows that something is under way until it is done. */
async function working(task) {
  const count = (change) => document.body.classList.toggle("busy", (tasks += change) > 0);
  count(1);
  try {
    return await task;
  } finally {
    count(-1);
  }
}

function say(text) {
  byId("status").textContent = text;
}

function explain(text) {
  byId("error").textContent = text;
  byId("error").hidden = false;
}

// ---- controls ----

async function chooseContent(picture) {
  byId("error").hidden = true;
  latest = picture;
  try {
    const read = await working(readPicture(picture));
    if (latest !== picture) return; // another was chosen in the meantime
    bitmap = read;
    chosen.content = picture;
  } catch (error) {
    return explain(error.message);
  }
  content = null;
  save.disabled = true;
  if (!painting) show(scaled(bitmap, Number(size.value)));
  repaint();
}

function chooseStyle(part, picture) {
  byId("error").hidden = true;
  chosen[part] = picture;
  weight.disabled = !chosen.second;
  repaint();
}

/** A picture among the choices of one of the two style lists. */
function offer(part, picture, checked) {
  const label = byId("choice").content.cloneNode(true).firstElementChild;
  const [radio, image, text] = label.children;
  radio.name = part;
  radio.checked = checked;
  radio.addEventListener("change", () => chooseStyle(part, picture));
  text.textContent = picture?.name ?? "None";
  if (picture) Object.assign(image, { src: picture.address, hidden: false });
  const choices = byId(part).querySelector(".choices");
  choices.insertBefore(label, choices.querySelector(".own"));
}

async function addStyle(part, picture) {
  byId("error").hidden = true;
  try {
    await working(readPicture(picture));
  } catch (error) {
    return explain(error.message);
  }
  for (const list of ["style", "second"]) offer(list, picture, list === part);
  chooseStyle(part, picture);
}

/** Files that are dropped on an element or chosen in the file input inside it. */
function takeFiles(element, take) {
  const input = element.querySelector("input[type=file]");
  input.addEventListener("change", () => {
    if (input.files[0]) take(pictureOf(input.files[0]));
    input.value = "";
  });
  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
    element.addEventListener(type, (event) => element.classList.toggle("over", event.type.match("enter|over") !== null));
  }
  element.addEventListener("drop", (event) => {
    event.stopPropagation();
    event.preventDefault();
    if (event.dataTransfer.files[0]) take(pictureOf(event.dataTransfer.files[0]));
  });
}

function slider(input) {
  const show = () => (input.previousElementSibling.value = input.valueAsNumber.toFixed(2));
  input.addEventListener("input", show);
  input.addEventListener("input", repaint);
  show();
}

/** The picture that is seen, as a PNG file. */
function saveCanvas() {
  const names = [chosen.content, chosen.style, chosen.second].filter(Boolean).map(({ name }) => name.replace(/\.\w+$/, ""));
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    Object.assign(link, { href: URL.createObjectURL(blob), download: `${names.join(" - ")}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
}

const examples = Object.entries(EXAMPLES).map(([name, file]) => ({ name, address: `pictures/${file}.jpg` }));
offer("second", null, true);
for (const part of ["style", "second"]) {
  for (const picture of examples) offer(part, picture, part === "style" && picture === examples[0]);
  byId(part).querySelector(".choices").append(byId("own").content.cloneNode(true));
  takeFiles(byId(part), (picture) => addStyle(part, picture));
}
takeFiles(byId("content"), chooseContent);
// A photo that misses its place is the content, not a page to leave for.
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) chooseContent(pictureOf(event.dataTransfer.files[0]));
});
slider(alpha);
slider(weight);
size.addEventListener("change", () => {
  content = null;
  repaint();
});
save.addEventListener("click", saveCanvas);

chosen.style = examples[0];
chooseContent({ name: "Astronaut", address: "pictures/photo_astronaut.jpg" });
