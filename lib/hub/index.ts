// The hub floor: repositories, their files, and the cache that the Python package shares.
export { cachedSnapshot, repositoryFolder } from './cache.js'
export { downloadFile } from './download.js'
export { hubSignal, setHubHost, type DownloadProgress, type HubHost } from './host.js'
export { modelFolder } from './model.js'
export { remoteFile, type RemoteFile } from './remote-file.js'
export { openRepository, repositoryId, type HubFile, type Repository, type RepositoryId } from './repository.js'
export { hubSettings, type HubSettings } from './settings.js'
export { downloadFiles } from './snapshot.js'
