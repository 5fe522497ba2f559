/**
 * A model that needs nothing, and understands plain requests about tasks.
 *
 * @module turnkeeper/offline
 */
export * as OfflineModel from "../adapters/offline/OfflineModel.ts"
