/** A stroke is a list of points [x, y]; x runs right, y runs down. */
export type Stroke = [number, number][];

export interface Contract {
  height: number;
  width: number;
  [setting: string]: number | string;
}

/** What a network is: its name, its classes in order, what its images look like, and its program. */
export interface NetworkFile {
  name: string;
  precision: 'float32' | 'float16' | 'int8';
  labels: string[];
  script: string;
  dataset: string;
  contract: Contract;
  accepts?: number;
  program: object;
}

export interface Reading {
  label: string;
  /** The probability of the label, 0 to 1. */
  confidence: number;
  /** Of every class, in the order of `file.labels`. */
  probabilities: Float32Array;
  /** What the network saw: height * width bytes, 0 is background and 255 full ink. */
  image: Uint8Array;
}

export interface Network {
  file: NetworkFile;
  /** The probability of every class, for height * width bytes; 0 is background and 255 full ink. */
  probabilities(image: Uint8Array): Float32Array;
  /** Reads a sketch on a square of side `size`; `pen` is the pen's width as a share of it. Null where nothing is drawn. */
  read(strokes: Stroke[], size: number, pen?: number): Reading | null;
}

/** Opens a network. */
export function open(file: NetworkFile): Promise<Network>;
/** Draws a sketch the way a network's dataset looks; null where nothing is drawn. */
export function fromStrokes(strokes: Stroke[], contract: Contract, frame: number, pen?: number): Uint8Array | null;
/** The usual width of the pen, as a share of the pad's side. */
export const PEN: number;
export const network: NetworkFile;
declare const opened: Network;
export default opened;
