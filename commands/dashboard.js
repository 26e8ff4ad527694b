"use strict";
// The page says everything without this script, which filters, copies, and says how long ago a time is.
for (const input of document.querySelectorAll("input[data-filter]")) {
	const rows = document.getElementById(input.dataset.filter).rows;
	input.hidden = false;
	input.addEventListener("input", () => {
		const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
		for (const row of rows) {
			const text = row.textContent.toLowerCase();
			row.hidden = !words.every((w) => text.includes(w));
		}
	});
}
for (const button of document.querySelectorAll(".cmd button")) {
	button.hidden = false;
	button.addEventListener("click", () => {
		const code = button.previousElementSibling;
		getSelection().selectAllChildren(code);
		const done = () => { button.textContent = "Copied"; };
		if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(done, () => document.execCommand("copy") && done());
		else if (document.execCommand("copy")) done();
	});
}
const times = document.querySelectorAll("time");
function tell() {
	for (const t of times) {
		const past = Date.now() - new Date(t.dateTime);
		const s = Math.abs(past) / 1000;
		let far = "";
		for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60]]) {
			if (s >= length) {
				far = `${Math.floor(s / length)} ${unit}`;
				break;
			}
		}
		t.dataset.ago = !far ? "now" : past > 0 ? `${far} ago` : `in ${far}`;
	}
}
tell();
setInterval(tell, 30000);
