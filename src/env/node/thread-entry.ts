// What a worker runs when its entry is TypeScript: the entry, with the loader that it needs.
import { workerData } from 'node:worker_threads';
import { importModule } from './import-module.ts';

await importModule(new URL((workerData as { readonly entry: string }).entry));
