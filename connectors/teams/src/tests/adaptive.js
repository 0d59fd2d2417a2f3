// Reads cards as JSON lines; parses each with Microsoft's own library and prints what it complains about.
const cards = require(process.argv[2] + "/node_modules/adaptivecards/dist/adaptivecards.min.js");
const lines = require("fs").readFileSync(0, "utf8").split("\n").filter((line) => line);
for (const line of lines) {
  const source = JSON.parse(line).attachments[0].content;
  const context = new cards.SerializationContext(cards.Versions.v1_2);
  const card = new cards.AdaptiveCard();
  card.parse(source, context);
  const events = [];
  for (let at = 0; at < context.eventCount; at++) events.push(context.getEventAt(at).message);
  const faults = card.validateProperties().validationEvents.map((event) => event.message);
  const lost = card.getItemCount() !== source.body.length || card.getActionCount() !== (source.actions || []).length;
  const all = events.concat(faults, lost ? ["something was left out"] : []);
  console.log(all.length ? "refused " + all.join("; ") : "fine");
}
