import { assert, layer } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { faults, replies } from "../support/model-server.ts"
import {
  act,
  box,
  complaints,
  countIs,
  findings,
  forgotSent,
  keptSent,
  openWindow,
  reads,
  replied,
  saidByAgent,
  saidByUser,
  say,
  screenshot,
  setVisibility,
  startSite,
  TheBrowser,
  taskRows
} from "./support.ts"

layer(TheBrowser.layer, { excludeTestServices: true })("the page", (it) => {
  it.effect("talks, by the keyboard alone, and knows it all after a reload", () =>
    Effect.gen(function* () {
      const site = yield* startSite()
      const { open } = yield* openWindow(site)
      const page = yield* open()
      yield* act(async () => {
        await reads(page.locator(".welcome"), "What shall we get done?")
        await reads(page.locator(".conversations"), "None yet")
        await reads(page.locator(".tasks"), "Nothing to do")
        await screenshot(page, "first-visit")
        await page.keyboard.type("Add a task to buy groceries")
        await page.keyboard.press("Enter")
        await reads(saidByUser(page), "Add a task to buy groceries")
        await reads(saidByAgent(page), "I've added 'Buy groceries' to your list as task 1.")
        await countIs(taskRows(page), 1)
        await reads(taskRows(page), "Buy groceries")
        await reads(page.getByRole("status"), "I've added 'Buy groceries'")
        await page.keyboard.type("What is on my list?")
        await page.keyboard.press("Enter")
        await countIs(saidByAgent(page), 2)
        await reads(saidByAgent(page).nth(1), "Buy groceries")
        assert.strictEqual(await page.locator(".conversations .row").count(), 1)

        await page.reload()
        await countIs(saidByUser(page), 2)
        await countIs(saidByAgent(page), 2)
        await reads(taskRows(page), "Buy groceries")
        const card = page.locator("details.card").first()
        await card.locator("summary").focus()
        await page.keyboard.press("Enter")
        await reads(card, "add_task")
        await screenshot(page, "talk")
        await page.emulateMedia({ colorScheme: "dark" })
        await screenshot(page, "dark")
        await page.setViewportSize({ width: 390, height: 720 })
        await page.emulateMedia({ colorScheme: "light" })
        await screenshot(page, "phone")
      })
    })
  )

  it.effect("keeps what is being written through a reload, for each conversation", () =>
    Effect.gen(function* () {
      const site = yield* startSite()
      const { open } = yield* openWindow(site)
      const page = yield* open()
      yield* act(async () => {
        await say(page, "Hello")
        await countIs(replied(page), 1)
        await box(page).fill("half a")
        await page.getByRole("link", { name: "New" }).click()
        await reads(page.locator(".welcome"), "What shall we get done?")
        assert.strictEqual(await box(page).inputValue(), "")
        await page.getByRole("button", { name: "What is on my list?" }).click()
        assert.strictEqual(await box(page).inputValue(), "What is on my list?")
        await page.reload()
        await box(page).waitFor()
        assert.strictEqual(await box(page).inputValue(), "What is on my list?")
        await page.locator(".conversations .row a").click()
        await countIs(saidByAgent(page), 1)
        assert.strictEqual(await box(page).inputValue(), "half a")
      })
    })
  )

  it.effect("renames and deletes conversations", () =>
    Effect.gen(function* () {
      const site = yield* startSite()
      const { open } = yield* openWindow(site)
      const page = yield* open()
      yield* act(async () => {
        await say(page, "Hello")
        await countIs(replied(page), 1)
        const nav = page.getByRole("navigation", { name: "Conversations" })
        await nav.getByRole("listitem").hover()
        await nav.getByRole("button", { name: /^Rename/ }).click()
        const name = page.getByRole("textbox", { name: "Its new name" })
        await name.fill("Never mind")
        await page.keyboard.press("Escape")
        await name.waitFor({ state: "detached" })
        await nav.getByRole("button", { name: /^Rename/ }).click()
        await name.fill("Groceries")
        assert.deepStrictEqual(await findings(page), [])
        await page.keyboard.press("Enter")
        await nav.getByRole("link", { name: "Groceries" }).waitFor()
        await page.getByRole("heading", { name: "Groceries" }).waitFor()
        // By the keyboard: the buttons come behind their conversation.
        await nav.getByRole("link", { name: "Groceries" }).focus()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await reads(page.getByRole("dialog"), "“Groceries” and all that was said in it will be gone.")
        await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click()
        await reads(nav, "None yet")
        await reads(page.locator(".welcome"), "What shall we get done?")
      })
      assert.deepStrictEqual((yield* site.get("/conversations")).data, [])
    })
  )

  it.effect("changes tasks by hand", () =>
    Effect.gen(function* () {
      const site = yield* startSite()
      const { open } = yield* openWindow(site)
      const page = yield* open()
      yield* act(async () => {
        const field = page.getByRole("textbox", { name: "A new task" })
        await field.fill("Call Ada")
        await field.press("Enter")
        await reads(taskRows(page), "Call Ada")
        await field.fill("Water the plants")
        await field.press("Enter")
        await countIs(taskRows(page), 2)
        await page.getByRole("checkbox", { name: /Call Ada/ }).click()
        await page.getByRole("button", { name: "Hide 1 done" }).click()
        await countIs(taskRows(page), 1)
        await page.getByRole("button", { name: "Hide 1 done" }).click()
        await countIs(taskRows(page), 2)
        await page.getByRole("button", { name: "Delete Water the plants" }).click()
        await page.getByRole("checkbox", { name: /Water/ }).waitFor({ state: "detached" })
      })
      const { data } = yield* site.get("/tasks")
      assert.deepStrictEqual(
        data.map(({ title, completed }: { title: string; completed: boolean }) => [title, completed]),
        [["Call Ada", true]]
      )
    })
  )

  it.effect("shows the reply as it is made, and the tasks as they change", () =>
    Effect.gen(function* () {
      const site = yield* startSite("scripted")
      const { open } = yield* openWindow(site)
      const page = yield* open()
      const [acted, said] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      yield* site.model.script(
        replies.calls([
          { name: "add_task", arguments: { title: "Buy milk" } },
          { name: "add_task", arguments: { title: "Buy bread" } }
        ]),
        replies.after(Deferred.await(acted), replies.calls([{ name: "complete_task", arguments: { task_id: 1 } }])),
        replies.held(
          Deferred.await(said),
          "The milk is **done**, since you have it. That leaves the bread, which is *still* to be bought, and nothing else."
        )
      )
      yield* act(async () => {
        await say(page, "Add milk and bread; I have the milk")
        await countIs(taskRows(page), 2)
        await reads(page.locator("details.card"), "Added task 1 “Buy milk”")
        await reads(page.locator(".thinking"), "Thinking")
        assert.isFalse(await page.getByRole("checkbox", { name: /Buy milk/ }).isChecked())
      })
      yield* Deferred.succeed(acted, undefined)
      yield* act(async () => {
        await page.locator(".task.done").waitFor()
        await reads(saidByAgent(page).locator("strong"), "done")
        assert.notInclude((await saidByAgent(page).textContent()) ?? "", "nothing else")
        await page.getByRole("button", { name: "Stop" }).waitFor()
        await screenshot(page, "streaming")
        assert.deepStrictEqual(await findings(page), [])
      })
      yield* Deferred.succeed(said, undefined)
      yield* act(async () => {
        await reads(saidByAgent(page), "which is still to be bought, and nothing else.")
        await page.getByRole("button", { name: "Send" }).waitFor()
        await reads(page.getByRole("status"), "Agent: The milk is **done**")
        await countIs(page.locator("details.card"), 3)
        await countIs(saidByUser(page), 1)
      })
    })
  )

  it.effect("stops a turn, and keeps what was said", () =>
    Effect.gen(function* () {
      const site = yield* startSite("scripted")
      const { open } = yield* openWindow(site)
      const page = yield* open()
      yield* site.model.script(
        replies.calls([{ name: "add_task", arguments: { title: "Buy milk" } }]),
        replies.held(Effect.never, "It is a long answer to a short question.")
      )
      yield* act(async () => {
        await say(page, "Buy milk")
        await reads(saidByAgent(page), "It is a long")
        await page.getByRole("button", { name: "Stop" }).press("Enter")
        await reads(saidByAgent(page), "Stopped.")
        await page.getByRole("button", { name: "Send" }).waitFor()
        await reads(replied(page), "It is a long")
        await page.reload()
        await reads(saidByAgent(page), "Stopped.")
        await reads(replied(page), "It is a long")
        await countIs(taskRows(page), 1)
      })
      yield* site.model.otherwise(replies.text("Here I am again."))
      yield* act(async () => {
        await say(page, "Hello?")
        await reads(replied(page), "Here I am again.")
      })
    })
  )

  it.effect("shows a turn that another tab has begun as it happens, and stops it from there", () =>
    Effect.gen(function* () {
      const site = yield* startSite("scripted")
      const { open } = yield* openWindow(site)
      const one = yield* open()
      yield* site.model.script(replies.text("Hello."))
      yield* act(async () => {
        await say(one, "Hello")
        await reads(replied(one), "Hello.")
      })
      const other = yield* open(new URL(one.url()).hash)
      yield* site.model.script(
        replies.calls([{ name: "add_task", arguments: { title: "Buy milk" } }]),
        replies.held(Effect.never, "It is a long answer to a short question.")
      )
      yield* act(async () => {
        await reads(replied(other), "Hello.")
        await say(one, "Buy milk")
        await reads(saidByUser(other), "Buy milk")
        await reads(saidByAgent(other), "It is a long")
        await countIs(taskRows(other), 1)
        await other.getByRole("button", { name: "Stop" }).click()
        await reads(saidByAgent(one), "Stopped.")
        await reads(saidByAgent(other), "Stopped.")
        await countIs(saidByUser(one), 2)
        await countIs(saidByUser(other), 2)
      })
    })
  )

  it.effect("undoes nothing by a turn that it is told of later: what was deleted or changed since stays so", () =>
    Effect.gen(function* () {
      const site = yield* startSite("scripted")
      const said = yield* Deferred.make<void>()
      yield* site.model.script(
        replies.calls([
          { name: "add_task", arguments: { title: "Buy milk" } },
          { name: "add_task", arguments: { title: "Buy bread" } }
        ]),
        replies.held(Deferred.await(said), "It is a long answer to a short question.")
      )
      const one = yield* (yield* openWindow(site)).open()
      yield* act(async () => {
        await say(one, "Buy milk and bread")
        await countIs(taskRows(one), 2)
      })
      yield* site.send("DELETE", "/tasks/1")
      yield* site.send("PATCH", "/tasks/2", { title: "Buy rye bread" })
      // Another device, which has read its list when it is told of the turn.
      const other = yield* (yield* openWindow(site, {}, complaints.refused)).open()
      yield* act(async () => {
        await countIs(taskRows(other), 1)
        const looked = other.waitForResponse((response) => response.url().endsWith("/tasks/1"))
        await other.locator(".conversations .row a").click()
        await reads(other.locator("details.card"), "Added task 2 “Buy bread”")
        assert.deepStrictEqual(await other.locator(".task-title").allTextContents(), ["Buy rye bread"])
        assert.strictEqual((await looked).status(), 404)
        assert.deepStrictEqual(await other.locator(".task-title").allTextContents(), ["Buy rye bread"])
      })
      yield* Deferred.succeed(said, undefined)
      yield* act(async () => {
        await reads(replied(other), "to a short question.")
        await reads(replied(one), "to a short question.")
        assert.deepStrictEqual(await other.locator(".task-title").allTextContents(), ["Buy rye bread"])
      })
    })
  )

  it.effect("lets a turn that somebody else has begun end before it sends the next one", () =>
    Effect.gen(function* () {
      const site = yield* startSite("scripted")
      const { open } = yield* openWindow(site, {}, complaints.refused)
      const page = yield* open()
      const said = yield* Deferred.make<void>()
      yield* site.model.script(replies.text("Hello."))
      yield* act(async () => {
        await say(page, "Hello")
        await reads(replied(page), "Hello.")
      })
      yield* site.model.next
      const [{ id }] = (yield* site.get("/conversations")).data
      yield* site.model.script(
        replies.held(Deferred.await(said), "It is a long answer from elsewhere."),
        replies.text("Here you are.")
      )
      yield* Effect.forkScoped(site.send("POST", "/chat", { message: "From elsewhere", conversation_id: id }))
      yield* site.model.next
      yield* act(async () => {
        await say(page, "From here")
        await reads(saidByAgent(page), "Waiting for the turn before this one")
        await reads(saidByUser(page), "From elsewhere")
        await reads(saidByAgent(page).nth(1), "Thinking")
      })
      yield* Deferred.succeed(said, undefined)
      yield* act(async () => {
        await reads(replied(page), "Here you are.")
        await countIs(saidByUser(page), 3)
        await countIs(replied(page), 3)
        await reads(replied(page).nth(1), "from elsewhere.")
      })
    })
  )

  it.effect("tells why a turn failed, and tries it again under the same key", () =>
    Effect.gen(function* () {
      const site = yield* startSite("scripted")
      const { open } = yield* openWindow(site, {}, complaints.refused)
      const page = yield* open()
      yield* site.model.script(replies.calls([{ name: "add_task", arguments: { title: "Buy milk" } }]))
      yield* site.model.otherwise(faults.unauthorized)
      yield* act(async () => {
        await say(page, "Buy milk")
        await reads(page.locator(".problem"), "not set up as it should be")
      })
      // That is for the operator to mend, and not to be tried again.
      yield* act(async () => {
        await page.getByRole("button", { name: "Put it into the box again" }).click()
        assert.strictEqual(await box(page).inputValue(), "Buy milk")
      })
      yield* site.model.otherwise(faults.badJson)
      yield* act(async () => {
        await box(page).fill("Buy bread")
        await box(page).press("Enter")
        await page.getByRole("button", { name: "Try again" }).waitFor()
        await screenshot(page, "failed")
        assert.deepStrictEqual(await findings(page), [])
        await page.reload()
        await page.getByRole("button", { name: "Try again" }).waitFor()
      })
      yield* site.model.otherwise(replies.text("The bread is on its way."))
      yield* act(async () => {
        await page.getByRole("button", { name: "Try again" }).click()
        await reads(saidByAgent(page), "The bread is on its way.")
        await countIs(saidByUser(page), 2)
        await page.getByRole("button", { name: "Try again" }).waitFor({ state: "detached" })
      })
      const { data } = yield* site.get("/conversations")
      assert.strictEqual(data.length, 1)
      const messages = yield* site.get(`/conversations/${data[0].id}/messages`)
      assert.deepStrictEqual(
        messages.data.map(({ content }: { content: string }) => content),
        ["Buy milk", "Buy bread", "The bread is on its way."]
      )
    })
  )

  it.effect("puts a failed message back into the box without touching what is being written there", () =>
    Effect.gen(function* () {
      const site = yield* startSite("scripted")
      const { open } = yield* openWindow(site)
      const page = yield* open()
      yield* site.model.otherwise(faults.badJson)
      yield* act(async () => {
        const putBack = page.getByRole("button", { name: "Put it into the box again" })
        await say(page, "Buy bread")
        await page.getByRole("button", { name: "Try again" }).waitFor()
        await box(page).fill("Before that")
        await putBack.click()
        assert.strictEqual(await box(page).inputValue(), "Before that\nBuy bread")
        // Its turn is let go of, and shown as it is stored.
        await page.getByRole("button", { name: "Try again" }).waitFor({ state: "detached" })
        await page.reload()
        await putBack.waitFor()
        assert.strictEqual(await box(page).inputValue(), "Before that\nBuy bread")
        await putBack.click()
        assert.strictEqual(await box(page).inputValue(), "Before that\nBuy bread")
        await box(page).fill("Or rather")
        await putBack.click()
        assert.strictEqual(await box(page).inputValue(), "Or rather\nBuy bread")
      })
    })
  )

  it.effect("recovers by itself when the service is killed in mid-answer, and the turn is there once", () =>
    Effect.gen(function* () {
      const site = yield* startSite("scripted")
      const { open } = yield* openWindow(site, {}, complaints.unreachable)
      const page = yield* open()
      yield* site.model.script(
        replies.calls([{ name: "add_task", arguments: { title: "Buy milk" } }]),
        replies.held(Effect.never, "The milk is on its way, and so am I.")
      )
      yield* act(async () => {
        await say(page, "Buy milk")
        await reads(saidByAgent(page), "The milk is on")
      })
      yield* site.kill
      yield* act(async () => {
        await reads(page.getByRole("alert"), "The service cannot be reached.")
        await screenshot(page, "lost")
        assert.deepStrictEqual(await findings(page), [])
      })
      yield* site.model.otherwise(replies.text("The milk is on the list."))
      yield* site.startAgain
      yield* act(async () => {
        await reads(saidByAgent(page), "The milk is on the list.")
        await page.locator(".notice").waitFor({ state: "detached" })
        await countIs(saidByUser(page), 1)
        await countIs(saidByAgent(page), 1)
        await countIs(taskRows(page), 1)
        assert.notInclude((await saidByAgent(page).textContent()) ?? "", "and so am I")
      })
      const { data } = yield* site.get("/conversations")
      assert.strictEqual(data.length, 1)
      const messages = yield* site.get(`/conversations/${data[0].id}/messages`)
      assert.strictEqual(messages.data.length, 2)
      assert.strictEqual((yield* site.get("/tasks")).data.length, 1)
    })
  )

  it.effect(
    "loses nothing that was sent: not by a reload in mid-answer, and not when nobody was there to take it",
    () =>
      Effect.gen(function* () {
        const site = yield* startSite("scripted")
        const { open } = yield* openWindow(site, {}, complaints.unreachable)
        const page = yield* open()
        const said = yield* Deferred.make<void>()
        yield* site.model.script(replies.held(Deferred.await(said), "It is a long answer to a short question."))
        yield* act(async () => {
          await say(page, "First")
          await reads(saidByAgent(page), "It is a long")
          await page.reload()
          await reads(saidByUser(page), "First")
        })
        yield* Deferred.succeed(said, undefined)
        yield* act(async () => {
          await reads(saidByAgent(page), "to a short question.")
          await countIs(saidByUser(page), 1)
          await page.getByRole("button", { name: "Send" }).waitFor()
        })
        yield* site.kill
        yield* act(async () => {
          await say(page, "Second")
          await reads(page.getByRole("alert"), "The service cannot be reached.")
          await reads(saidByAgent(page), "Kept here, and sent as soon as the service can be reached")
        })
        yield* site.model.otherwise(replies.text("Here I am."))
        yield* site.startAgain
        yield* act(async () => {
          await reads(saidByAgent(page), "Here I am.")
          await countIs(saidByUser(page), 2)
          assert.lengthOf(await keptSent(page), 0)
        })
      })
  )

  it.effect("shows the same in two tabs", () =>
    Effect.gen(function* () {
      const site = yield* startSite()
      const { open } = yield* openWindow(site)
      const one = yield* open()
      yield* act(async () => {
        await say(one, "Add a task to buy milk")
        await countIs(replied(one), 1)
      })
      const other = yield* open(new URL(one.url()).hash)
      yield* act(async () => {
        await countIs(replied(other), 1)
        await say(other, "Mark task 1 as done")
        await countIs(replied(one), 2)
        await one.locator(".task.done").waitFor()
        await one.getByRole("button", { name: "Delete Buy milk" }).click()
        await reads(other.locator(".tasks"), "Nothing to do")
      })
    })
  )

  it.effect("loads further pages once, shows nothing twice, and keeps them when the lists are read anew", () =>
    Effect.gen(function* () {
      const site = yield* startSite()
      for (const number of [1, 2, 3, 4, 5, 6, 7]) yield* site.send("POST", "/tasks", { title: `Task ${number}` })
      yield* site.send("POST", "/chat", { message: "One" })
      const [{ id }] = (yield* site.get("/conversations")).data
      for (const message of ["Two", "Three"]) yield* site.send("POST", "/chat", { message, conversation_id: id })
      for (const message of ["Four", "Five", "Six"]) yield* site.send("POST", "/chat", { message })
      const { context, open } = yield* openWindow(site)
      const asked: Array<string> = []
      // Pages of two entries stand for those of hundreds.
      yield* act(() =>
        context.route(/[?&]limit=\d+/, (route) => {
          asked.push(route.request().url())
          return route.continue({
            url: route
              .request()
              .url()
              .replace(/limit=\d+/, "limit=2")
          })
        })
      )
      const further = () => asked.filter((url) => url.includes("after="))
      const page = yield* open(`#${id}`)
      const rows = page.locator(".conversations .row")
      const said = page.locator(".said-by-user, .said-by-agent")
      const refreshed = async (): Promise<void> => {
        asked.length = 0
        const last = page.waitForResponse((response) => response.url().includes("/messages?"))
        await page.evaluate("dispatchEvent(new Event('focus'))")
        await (await last).finished()
      }
      yield* act(async () => {
        await countIs(taskRows(page), 2)
        await page.getByRole("textbox", { name: "A new task" }).fill("Mine")
        await page.keyboard.press("Enter")
        await countIs(taskRows(page), 3)
        // The second click comes before the page that the first one asks for.
        await page.getByRole("button", { name: "Show more" }).dblclick()
        await reads(taskRows(page), "Task 4")
        await countIs(taskRows(page), 5)
        assert.lengthOf(further(), 1)
        await page.getByRole("button", { name: "Show more" }).click()
        await countIs(taskRows(page), 7)
        await page.getByRole("button", { name: "Show more" }).click()
        await page.getByRole("button", { name: "Show more" }).waitFor({ state: "detached" })
        await countIs(taskRows(page), 8)

        await countIs(rows, 2)
        await page.getByRole("button", { name: "Show older ones" }).dblclick()
        await countIs(rows, 4)
        await countIs(said, 2)
        await page.getByRole("button", { name: "Show what was said before" }).dblclick()
        await countIs(said, 4)
        assert.lengthOf(further(), 5)

        await refreshed()
        await page.getByRole("button", { name: "Delete Mine" }).click()
        await page.getByRole("checkbox", { name: /Mine/ }).waitFor({ state: "detached" })
        await countIs(taskRows(page), 7)
        await countIs(rows, 4)
        await countIs(said, 4)
        await page.getByRole("button", { name: "Show what was said before" }).click()
        await countIs(said, 6)
        assert.deepStrictEqual(
          (await page.locator(".task-title").allTextContents()).toSorted(),
          ["1", "2", "3", "4", "5", "6", "7"].map((number) => `Task ${number}`)
        )
      })
      // What was deleted elsewhere is gone from the further pages too.
      yield* site.send("DELETE", "/tasks/5")
      yield* act(async () => {
        await refreshed()
        await page.getByRole("checkbox", { name: /Task 5/ }).waitFor({ state: "detached" })
        await countIs(taskRows(page), 6)
      })
    })
  )

  it.effect("runs nothing that stands in a task or that the model says", () =>
    Effect.gen(function* () {
      const site = yield* startSite("scripted")
      const { open } = yield* openWindow(site)
      const title = "<script>window.hurt = 1</script><img src=x onerror='window.hurt = 2'>"
      yield* site.send("POST", "/tasks", { title })
      yield* site.model.otherwise(
        replies.text(
          [
            title,
            "<svg onload='window.hurt = 3'><style>* { display: none }</style>",
            "[a link](javascript:window.hurt=4) and [another](https://example.com/)",
            "![a picture](https://example.com/picture.png)",
            "<iframe src='https://example.com/'></iframe><form action='https://example.com/'><input name=x></form>"
          ].join("\n\n")
        )
      )
      const page = yield* open()
      yield* act(async () => {
        await reads(taskRows(page), title)
        await say(page, title)
        await reads(saidByUser(page), title)
        await reads(saidByAgent(page), "a picture")
        const reply = saidByAgent(page).locator(".prose")
        await reply.getByRole("link", { name: "another" }).waitFor()
        assert.strictEqual(
          await reply.locator("img, script, svg, style, iframe, form, input, [onerror], [onload]").count(),
          0
        )
        assert.deepStrictEqual(
          await page.evaluate("[...document.querySelectorAll('.prose a[href]')].map(({ href, rel }) => [href, rel])"),
          [["https://example.com/", "noopener noreferrer nofollow"]]
        )
        assert.isUndefined(await page.evaluate("window.hurt"))
      })
    })
  )

  it.effect("asks for a token where it does not know who is there, and keeps it in memory alone", () =>
    Effect.gen(function* () {
      const site = yield* startSite()
      const { visit } = yield* openWindow(site, {}, complaints.refused)
      const page = yield* visit(`${site.url}/`)
      yield* act(async () => {
        await reads(page.getByRole("main"), "the link that it has printed in the terminal signs you in")
        const token = page.getByLabel("Token")
        await token.fill("wrong")
        await token.press("Enter")
        await reads(page.getByRole("alert"), "This token is not valid.")
        assert.deepStrictEqual(await findings(page), [])
        await screenshot(page, "sign-in")
        await token.fill(site.token)
        await token.press("Enter")
        await say(page, "Hello")
        await countIs(replied(page), 1)
        const kept: string = await page.evaluate(
          "JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])"
        )
        assert.notInclude(kept, site.token)
        await page.reload()
        await token.waitFor()
      })
    })
  )

  it.effect("is signed in by the link in the terminal, and from then on in that browser, over restarts too", () =>
    Effect.gen(function* () {
      const site = yield* startSite()
      yield* site.send("POST", "/tasks", { title: "Call Ada" })
      const { context, visit } = yield* openWindow(site, {}, complaints.unreachable)
      const page = yield* visit(site.link)
      yield* act(async () => {
        await reads(taskRows(page), "Call Ada")
        assert.strictEqual(page.url(), `${site.url}/`)
        // No script can read what stands for it, and the token is in memory alone.
        const kept: string = await page.evaluate(
          "JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])"
        )
        assert.strictEqual(kept, '[{},{},""]')
        assert.notInclude(JSON.stringify(await context.cookies()), site.token)
      })
      yield* site.kill
      yield* site.startAgain
      const tab = yield* visit(`${site.url}/`)
      yield* act(async () => {
        await reads(taskRows(tab), "Call Ada")
        await tab.reload()
        await reads(taskRows(tab), "Call Ada")
      })
      const stranger = yield* openWindow(site)
      for (const path of ["/", "/?key=wrong"]) {
        const asked = yield* stranger.visit(site.url + path)
        yield* act(() => asked.getByLabel("Token").waitFor())
      }
    })
  )

  it.effect("has its frame without any script, and recovers from what a proxy says in the service's place", () =>
    Effect.gen(function* () {
      const site = yield* startSite()
      yield* site.send("POST", "/tasks", { title: "Call Ada" })
      const bare = yield* openWindow(site, { javaScriptEnabled: false })
      const still = yield* bare.open()
      yield* act(async () => {
        await reads(still.getByRole("heading"), "turnkeeper")
        await still.getByRole("navigation", { name: "Conversations" }).waitFor({ state: "attached" })
        await still.getByRole("main").waitFor()
      })
      const { context, open } = yield* openWindow(site, {}, complaints.refused)
      const bodies = ["<html>Bad Gateway</html>", '{"message":"Bad Gateway"}', "null"]
      yield* act(() =>
        context.route("**/tasks?*", (route) => {
          const body = bodies.shift()
          return body === undefined ? route.continue() : route.fulfill({ status: 504, body })
        })
      )
      const page = yield* open()
      yield* act(async () => {
        await reads(page.getByRole("alert"), "The service cannot be reached.")
        await page.getByRole("button", { name: "Try now" }).click()
        await reads(taskRows(page), "Call Ada")
        await page.locator(".notice").waitFor({ state: "detached" })
      })
    })
  )

  it.effect("believes that something is gone when the service says so, and nobody before it", () =>
    Effect.gen(function* () {
      const site = yield* startSite("scripted")
      const { context, open } = yield* openWindow(site, {}, complaints.refused)
      const said = yield* Deferred.make<void>()
      yield* site.model.script(replies.held(Deferred.await(said), "It is a long answer to a short question."))
      const page = yield* open()
      yield* act(async () => {
        await say(page, "Hello")
        await reads(saidByAgent(page), "It is a long")
      })
      const { hash } = new URL(page.url())
      for (const path of ["**/turns/*/events", "**/messages?*"]) {
        yield* act(async () => {
          await context.route(path, (route) =>
            route.fulfill({ status: 404, contentType: "text/html", body: "<html>404 Not Found</html>" })
          )
          await page.reload()
          await reads(page.getByRole("alert"), "The service cannot be reached.")
          assert.strictEqual(new URL(page.url()).hash, hash)
          assert.lengthOf(await keptSent(page), 1)
          await context.unroute(path)
        })
      }
      yield* act(async () => {
        await page.getByRole("button", { name: "Try now" }).click()
        await reads(saidByAgent(page), "It is a long")
      })
      yield* Deferred.succeed(said, undefined)
      yield* act(() => reads(replied(page), "to a short question."))
    })
  )

  it.effect("takes up no connection for a turn while it is not seen, and goes on with it when it is seen again", () =>
    Effect.gen(function* () {
      const site = yield* startSite("scripted")
      const { open } = yield* openWindow(site)
      const [first, second] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      yield* site.model.script(
        replies.held(Deferred.await(first), "It is a long answer to a short question."),
        replies.held(Deferred.await(second), "So is this one, to another question.")
      )
      const page = yield* open()
      const letGo = () => page.waitForEvent("requestfailed", (request) => request.url().endsWith("/chat"))
      yield* act(async () => {
        await say(page, "First")
        await reads(saidByAgent(page), "It is a long")
        const gone = letGo()
        await setVisibility(page, "hidden")
        await gone
      })
      yield* Deferred.succeed(first, undefined)
      yield* act(async () => {
        const again = page.waitForRequest("**/turns/*/events")
        await setVisibility(page, "visible")
        // From where it was: nothing is told twice.
        assert.match(`${(await again).headers()["last-event-id"]}`, /^1\.0\.\d+$/)
        await reads(replied(page), "It is a long answer to a short question.")
        assert.strictEqual(await page.locator(".notice").count(), 0)

        // The text may be there a moment before the end is.
        await forgotSent(page)
        // What was sent just before is let go of when its turn has begun, and not sooner.
        await setVisibility(page, "hidden")
        const gone = letGo()
        await say(page, "Second")
        await gone
      })
      yield* Deferred.succeed(second, undefined)
      yield* act(async () => {
        await setVisibility(page, "visible")
        await reads(replied(page), "So is this one, to another question.")
        await countIs(saidByUser(page), 2)
        await forgotSent(page)
        assert.strictEqual(await page.locator(".notice").count(), 0)
      })
    })
  )

  it.effect("goes on with what was sent, whatever else stands where it is kept", () =>
    Effect.gen(function* () {
      const site = yield* startSite()
      const { open } = yield* openWindow(site)
      const page = yield* open()
      const wrong = [
        "null",
        "{}",
        "[]",
        "7",
        '{"key":1,"text":"x","at":1}',
        '{"key":"x","text":"x","at":1,"problem":{}}'
      ]
      yield* act(async () => {
        await page.evaluate(
          `${JSON.stringify(wrong)}.forEach((text, index) => localStorage.setItem('turnkeeper:demo:sent:' + index, text))`
        )
        await page.evaluate(
          "localStorage.setItem('turnkeeper:demo:sent:k', JSON.stringify({ key: 'k', text: 'Hello', at: 1 }))"
        )
        await page.reload()
        await page.locator(".conversations .row a").click()
        await countIs(replied(page), 1)
        await reads(saidByUser(page), "Hello")
        await countIs(saidByUser(page), 1)
      })
    })
  )

  it.effect("keeps nothing of a conversation that was deleted elsewhere but what was not sent yet", () =>
    Effect.gen(function* () {
      const site = yield* startSite("scripted")
      const { open } = yield* openWindow(site, {}, complaints.refused)
      const page = yield* open()
      yield* site.model.otherwise(faults.badJson)
      yield* act(async () => {
        await say(page, "Buy bread")
        await page.getByRole("button", { name: "Try again" }).waitFor()
        assert.lengthOf(await keptSent(page), 1)
        await page.close()
      })
      const [first] = (yield* site.get("/conversations")).data
      yield* site.send("DELETE", `/conversations/${first.id}`)
      const other = yield* open()
      yield* act(async () => {
        await forgotSent(other)
        await say(other, "Buy milk")
        await other.getByRole("button", { name: "Try again" }).waitFor()
        await box(other).fill("And rye")
      })
      const [second] = (yield* site.get("/conversations")).data
      yield* site.send("DELETE", `/conversations/${second.id}`)
      yield* act(async () => {
        await other.evaluate("dispatchEvent(new Event('focus'))")
        await reads(other.getByRole("alert"), "This conversation does not exist, or was deleted.")
        await other.locator(".welcome").waitFor()
        assert.strictEqual(new URL(other.url()).hash, "")
        assert.strictEqual(await box(other).inputValue(), "And rye")
        assert.lengthOf(await keptSent(other), 0)
        await say(other, "Buy rye")
        await other.getByRole("button", { name: "Try again" }).waitFor()
      })
      const [third] = (yield* site.get("/conversations")).data
      yield* site.send("DELETE", `/conversations/${third.id}`)
      yield* act(async () => {
        await say(other, "And butter")
        await reads(other.getByRole("alert"), "This conversation does not exist, or was deleted.")
        assert.strictEqual(await box(other).inputValue(), "And butter")
        assert.lengthOf(await keptSent(other), 0)
      })
    })
  )

  it.effect("has nothing that axe-core finds wrong, in light and dark, on a screen and on a phone", () =>
    Effect.gen(function* () {
      const site = yield* startSite()
      yield* site.send("POST", "/chat", { message: "Add a task to buy groceries" })
      yield* site.send("POST", "/tasks", { title: "A".repeat(255), description: "B ".repeat(100) })
      const [{ id }] = (yield* site.get("/conversations")).data
      for (const colorScheme of ["light", "dark"] as const) {
        const { open } = yield* openWindow(site, { colorScheme })
        const page = yield* open(`#${id}`)
        yield* act(async () => {
          await countIs(saidByAgent(page), 1)
          await page.locator("details.card summary").click()
          assert.deepStrictEqual(await findings(page), [])
        })
        const phone = yield* openWindow(site, { colorScheme, viewport: { width: 320, height: 640 } })
        const small = yield* phone.open(`#${id}`)
        yield* act(async () => {
          await countIs(saidByAgent(small), 1)
          await small.locator("details.card summary").click()
        })
        for (const name of ["Conversations", "Tasks", "Talk"]) {
          yield* act(async () => {
            await small.getByRole("button", { name, exact: true }).click()
            assert.strictEqual(await small.evaluate("document.documentElement.scrollWidth"), 320)
            assert.deepStrictEqual(await findings(small), [])
          })
        }
      }
    })
  )
})
