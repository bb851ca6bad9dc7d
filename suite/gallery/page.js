// Show the sources that hold every typed word; a family without any is hidden with its heading.
const find = document.getElementById("find");
find.addEventListener("input", () => {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  let fitting = 0;
  for (const section of document.querySelectorAll("section")) {
    let here = 0;
    for (const card of section.querySelectorAll("article")) {
      card.hidden = !words.every((word) => card.dataset.words.includes(word));
      here += card.hidden ? 0 : 1;
    }
    section.hidden = here === 0;
    fitting += here;
  }
  document.getElementById("none").hidden = fitting > 0;
});
// One sound at a time.
document.addEventListener("play", (event) => {
  for (const player of document.querySelectorAll("audio")) {
    if (player !== event.target) player.pause();
  }
}, true);
