// The published networks, loaded when they are first asked for: scripts, so that pages work from a disk, too.

import { network } from "./networks.js";

const arrivals = {}; // name -> what to do with the description and the packed weights
globalThis.publishNetwork = (name, description, packed) => arrivals[name](description, packed);

/** A promise of what ``made`` makes, a forecaster, of a published network, whose script lies in ``folder``. */
export function loadNetwork(folder, name, made = network) {
  return new Promise((resolve, reject) => {
    arrivals[name] = (description, packed) =>
      unpacked(packed).then((numbers) => resolve(made(description, numbers)), reject);
    const script = document.createElement("script");
    script.src = `${folder}${name}.js`;
    script.onerror = () => reject(new Error(`expected the weights of ${name} at ${script.src}, got nothing`));
    document.head.append(script);
  });
}

/** The numbers that the build has packed: the first bytes of all, then the second ones, …, deflated, in base 64. */
async function unpacked(packed) {
  const deflated = (await fetch(`data:;base64,${packed}`)).body;
  const bytes = await new Response(deflated.pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
  const planes = new Uint8Array(bytes);
  const count = planes.length / 4;
  const view = new Uint8Array(planes.length).map((_, i) => planes[(i % 4) * count + Math.floor(i / 4)]);
  return new Float32Array(view.buffer);
}
