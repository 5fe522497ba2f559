/** A model that needs nothing, and understands plain requests about tasks. */
export * as OfflineModel from "../adapters/offline/OfflineModel.ts"
