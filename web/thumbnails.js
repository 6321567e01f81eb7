// AdaIN Load Style shows the thumbnail of the style that is chosen, before any run.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const SIDE = 128;

// Calls a function after a method of an object, if there is one yet.
function after(object, method, then) {
  const before = object[method];
  object[method] = function (...values) {
    const answer = before?.apply(this, values);
    then();
    return answer;
  };
}

function addThumbnail(node) {
  const style = node.widgets.find(({ name }) => name === "style");
  const picture = document.createElement("img");
  picture.style.objectFit = "contain";
  // Styles that were learned have none: a browser's sign of a broken picture would alarm.
  picture.addEventListener("error", () => (picture.style.visibility = "hidden"));
  picture.addEventListener("load", () => (picture.style.visibility = "visible"));
  const show = () => {
    picture.alt = style.value;
    picture.src = api.apiURL(`/adain/thumbnail?style=${encodeURIComponent(style.value)}`);
  };
  const widget = node.addDOMWidget("thumbnail", "adain_thumbnail", picture, {
    serialize: false,
    hideOnZoom: false,
    getMinHeight: () => SIDE,
    getMaxHeight: () => SIDE,
  });
  widget.serialize = false;
  after(style, "callback", show);
  after(node, "onConfigure", show);
  show();
}

app.registerExtension({
  name: "AdaIN.StyleThumbnails",
  nodeCreated(node) {
    if (node.comfyClass === "AdaINLoadStyle") addThumbnail(node);
  },
});
