import { MemoryStore } from '../../driver/store/memory.ts';
import { storeContract } from './store.ts';

storeContract('in memory', async () => {
  const store = new MemoryStore();
  return { store, other: store, dispose: () => store.close() };
});
