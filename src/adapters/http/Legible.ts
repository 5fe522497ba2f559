/**
 * JSON may have these characters as they are (RFC 8259, section 7), but a terminal that shows an answer would obey them. What
 * a user has stored comes back as the same text all the same.
 */
const terminalControls = /[\u007f-\u009f]/g

/** JSON as it is fit to be shown anywhere. */
export const legible = (json: string): string =>
  json.search(terminalControls) === -1
    ? json
    : json.replaceAll(terminalControls, (character) => `\\u00${character.charCodeAt(0).toString(16)}`)
