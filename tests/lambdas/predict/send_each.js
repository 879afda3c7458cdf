// Press Send once for each kind of call, and print what the page shows.
(async () => {
  await settled(() => byId("send").onclick || byId("about").textContent.includes("Cannot"));
  const shown = [];
  for (const option of byId("what").children) {
    byId("what").value = option.value;
    byId("what").onchange();
    byId("answer").textContent = "";
    byId("send").onclick();
    await settled(() => byId("answer").textContent);
    shown.push([byId("status").textContent, byId("answer").textContent]);
  }
  console.log(JSON.stringify({ title: byId("title").textContent, hidden: byId("signed").hidden, shown }));
  process.exit();
})();
