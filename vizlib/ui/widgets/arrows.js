// move(down, right) as the arrow keys say, which then scroll nothing
const onArrows = (element, move) => {
  element.onkeydown = event => {
    const step = {ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0]}[
      event.key
    ];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    move(...step);
  };
};
