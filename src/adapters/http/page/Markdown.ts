import DOMPurify from "dompurify"
import { Marked } from "marked"

const entities: { readonly [character: string]: string } = { "&": "&amp;", "<": "&lt;", ">": "&gt;" }
const special = /[&<>]/g
const escaped = (text: string): string => text.replace(special, (character) => entities[character] ?? "")

const marked = new Marked({
  async: false,
  gfm: true,
  breaks: true,
  renderer: {
    // What looks like HTML is what the model says, and is shown as it stands.
    html: ({ text }) => escaped(text),
    // Nothing of another host is loaded, so an image is what it would have said.
    image: ({ text }) => escaped(text)
  }
})

/** What a model's text may hold: words and their order, links, and nothing that does or loads anything. */
const allowedTags =
  "a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i li ol p pre s strong table tbody td th thead tr ul".split(" ")

const allowedLinks = /^(?:https?|mailto):/i

DOMPurify.addHook("afterSanitizeAttributes", (element) => {
  if (element.tagName !== "A") return
  element.setAttribute("target", "_blank")
  element.setAttribute("rel", "noopener noreferrer nofollow")
})

/** Renders Markdown that nobody has looked at. */
export const render = (text: string): DocumentFragment =>
  DOMPurify.sanitize(marked.parse(text, { async: false }), {
    ALLOWED_TAGS: allowedTags,
    ALLOWED_ATTR: ["href", "start"],
    ALLOWED_URI_REGEXP: allowedLinks,
    RETURN_DOM_FRAGMENT: true
  })
